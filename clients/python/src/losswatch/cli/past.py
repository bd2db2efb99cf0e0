"""``losswatch import``: reports runs that are over, each log and each folder of a trainer as one."""

from __future__ import annotations

import os
import uuid
from collections import Counter
from pathlib import Path
from typing import Any, List, Tuple

from losswatch.cli.arguments import columns
from losswatch.cli.discovery import Found, runs_in, suggested
from losswatch.cli.report import Reporter
from losswatch.cli.sources import LARGEST, EventFiles
from losswatch.cli.watch import UNREADABLE, run_options, say
from losswatch.names import slug
from losswatch_logs import Columns, ReadLog, UnreadableLogError, read_all

UNAVAILABLE = 69
"""The exit status where not everything could be delivered."""


def import_past(options: Any) -> int:
    """0; 66 where something could not be read, 69 where something could not be delivered (it waits on disk)."""
    found = _named([each for path in options.paths for each in _at(Path(path))])
    if options.run and len(found) == 1:
        found = [found[0]._replace(name=options.run)]
    status = 0 if found else UNREADABLE
    if not found:
        say("nothing to import was found")
    for each in found:
        try:
            logs = _read(each.path, Columns(*columns(options)))
        except (OSError, UnreadableLogError) as error:
            say(f"{each.path}: {(error.strerror if isinstance(error, OSError) else None) or error}")
            status = status or UNREADABLE
            continue
        for number, log in enumerate(logs, start=1):
            name = each.name if len(logs) == 1 else f"{each.name}-{slug(log.run or number, str(number))}"
            if not _report(name, log, each.path, options):
                status = UNAVAILABLE
    return status


def _at(path: Path) -> List[Found]:
    if path.is_dir():
        return runs_in(path)
    return [Found(path, suggested(path))]


def _named(found: List[Found]) -> List[Found]:
    """Names that differ: where several suggest themselves alike, the path from what they have in common."""
    counts = Counter(each.name for each in found)
    alike = [each.path.resolve() for each in found if counts[each.name] > 1]
    if not alike:
        return found
    common = Path(os.path.commonpath([path.parent for path in alike]))
    return [
        each
        if counts[each.name] == 1
        else each._replace(name="-".join(each.path.resolve().relative_to(common).with_suffix("").parts) or each.name)
        for each in found
    ]


def _read(path: Path, chosen: Columns) -> List[ReadLog]:
    if path.is_dir() or "tfevents" in path.name:
        source = EventFiles(iter(() if path.is_dir() else (path,)), path, chosen)
        logs = [news.log for news in source.news(at_end=True)]
        if not logs:
            raise UnreadableLogError(source.why or "The event files hold no scalars.")
        return logs
    if path.stat().st_size > LARGEST:
        raise UnreadableLogError(f"It has more than {LARGEST >> 20} MiB; thin it first.")
    return read_all(path.read_bytes(), name=str(path), columns=chosen)


def _report(name: str, log: ReadLog, path: Path, options: Any) -> bool:
    reporter = Reporter(
        name, dict(options.context), writer=_writer(path, log), **{**run_options(options), "quiet": True}
    )
    reporter.send(log.points, log.context)
    delivered = reporter.run is not None and reporter.run.flush(60.0)
    reporter.finish("finished")
    for doubt in log.doubts:
        if doubt.serious:
            say(f"{name}: in doubt: {doubt.detail}")
    verdict: Tuple[Any, Any] = (reporter.report.get("status"), reporter.report.get("headline"))
    if not options.quiet:
        said = f"{verdict[0]}: {verdict[1]}" if delivered else "not delivered; it waits on disk for `losswatch sync`"
        say(f"{name}: {len(log.points)} points of {path}. {said}")
    return delivered


def _writer(path: Path, log: ReadLog) -> str:
    """The same for the same file: imported once more, it changes nothing."""
    return uuid.uuid5(uuid.NAMESPACE_URL, f"{path.resolve()}#{log.run or ''}").hex[:16]
