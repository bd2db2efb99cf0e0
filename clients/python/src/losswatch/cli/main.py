"""Which command is asked for, and what is wrong with the arguments."""

from __future__ import annotations

import sys
from typing import List, Optional

from losswatch.cli.arguments import parser

USAGE = 64
"""The exit status of wrong usage: 2 may be the watched training's own."""


def main(arguments: Optional[List[str]] = None) -> int:
    """The exit status of the command."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] == ["sync"]:
        from losswatch.__main__ import main as sync

        return sync(given[1:], command="losswatch sync")
    options = parser().parse_args(given)
    if options.command is None:
        parser().print_help()
        return USAGE
    if not _has_readers():
        return USAGE
    if options.command == "watch" and options.path == "-":
        from losswatch.cli.stream import watch_stream

        return watch_stream(options)
    if options.command == "watch":
        from losswatch.cli.watch import watch

        return watch(options)
    if options.command == "import":
        from losswatch.cli.past import import_past

        return import_past(options)
    from losswatch.cli.wrap import run

    return run(options)


def _has_readers() -> bool:
    try:
        import losswatch_logs  # noqa: F401 - whether it is installed
    except ImportError:
        sys.stderr.write('losswatch: the readers of logs are not installed; try: pip install "losswatch[watch]"\n')
        return False
    return True
