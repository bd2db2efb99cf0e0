"""Help that can be read on 80 columns: every name whole, what belongs together under one heading.

typer's tables share the width between six columns: of the thirty options of ``serve`` they cut names and variables.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from typer.core import TyperCommand, TyperGroup

if TYPE_CHECKING:
    _Base = TyperCommand
else:
    _Base = object

OTHERS = {"argument": "Arguments", "option": "Options"}
"""The headings of what has none of its own."""
_DEFAULT = re.compile(r"default: \((.*)\)(?=[;\]])")
_RANGE = re.compile(r"<(\w+) range>")
_LIST = re.compile(r"<list\[(.*)\]>")


def _kind(name: str) -> str:
    """``--days <float>``: that it has a range, or may be repeated, stands in the sentence."""
    return _LIST.sub(r"<\1>", _RANGE.sub(r"<\1>", name))


class _PlainHelp(_Base):
    def format_options(self, ctx: Any, formatter: Any) -> None:
        sections: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                heading = getattr(parameter, "rich_help_panel", None) or OTHERS[parameter.param_type_name]
                sections.setdefault(heading, []).append((_kind(record[0]), _DEFAULT.sub(r"default: \1", record[1])))
        if isinstance(self, TyperGroup):
            width = formatter.width - 14
            for name, command in self.commands.items():
                heading = getattr(command, "rich_help_panel", None) or "Commands"
                sections.setdefault(str(heading), []).append((name, command.get_short_help_str(limit=3 * width)))
        for heading, records in sections.items():
            with formatter.section(heading):
                formatter.write_dl(records)


class PlainCommand(_PlainHelp, TyperCommand):
    """A command."""


class PlainGroup(_PlainHelp, TyperGroup):
    """Commands below one name."""
