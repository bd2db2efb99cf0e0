"""What the commands take, and what ``--help`` says of it."""

from __future__ import annotations

import argparse
from typing import Any, List, NoReturn, Optional, Tuple

from losswatch import __version__

_DESCRIPTION = "Watch a training that you do not want to change: its output, its log files, its TensorBoard folder."
_EXAMPLES = """\
examples:
  losswatch run -- python train.py --lr 0.1        run a training and watch what it prints
  losswatch run --stop-on critical -- ./train.sh   ... and end it when it cannot be saved
  python train.py 2>&1 | losswatch watch -         watch a pipe; it is passed through unchanged
  losswatch watch logs/train.log                   follow a file that a training writes
  losswatch watch runs/experiment-7                ... or the folder of TensorBoard, Lightning, Hugging Face, W&B
  losswatch import results/*.csv                   report runs that are over
  losswatch sync                                   deliver what waited on disk while the service was away

The service is LOSSWATCH_URL (http://127.0.0.1:8000 without it), or --url.
"""
_COLUMNS = ("loss", "step", "validation", "gradient_norm")
_SAID = {"validation": "validation loss"}


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(64, f"{self.prog}: {message}\nTry '{self.prog} --help'.\n")


def parser() -> argparse.ArgumentParser:
    """The arguments of every command but ``sync``, which has a parser of its own."""
    top = _Parser(
        prog="losswatch",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"losswatch {__version__}")
    commands = top.add_subparsers(dest="command", title="commands", metavar="COMMAND")
    _watch(commands)
    _import(commands)
    _run(commands)
    commands.add_parser("sync", help="deliver what waited on disk while the service was away", add_help=False)
    return top


def _watch(commands: Any) -> None:
    one = _command(
        commands,
        "watch",
        "follow a log, a pipe or a folder, and report it while it grows",
        "PATH may be a log of any framework, a CSV, JSON lines, a TensorBoard event file, or the folder of one run.\n"
        "A file may be rotated, truncated or not be there yet. Started again, it goes on where it was.\n"
        "With - standard input is watched, and passed on to standard output unchanged.",
    )
    one.add_argument("path", metavar="PATH", help="a file, a folder, or - for standard input")
    _service(one)
    _reading(one)
    ends = one.add_argument_group("when it ends (else with Ctrl-C, or with the pipe)")
    ends.add_argument("--pid", type=int, metavar="PID", help="when this process is gone")
    ends.add_argument("--idle", type=_seconds, metavar="SECONDS", help="when nothing was written for so long")
    ends.add_argument("--once", action="store_true", help="when what is there has been reported; the run stays open")
    one.add_argument("--restart", action="store_true", help="begin with the file's start, whatever was reported before")


def _import(commands: Any) -> None:
    one = _command(
        commands,
        "import",
        "report runs that are over",
        "Each log is a run, and so is each folder with event files or a trainer's output.\n"
        "A log of several runs gives several.",
    )
    one.add_argument("paths", metavar="PATH", nargs="+", help="logs, CSV files, trainer states, event files, folders")
    _service(one)
    _reading(one)


def _run(commands: Any) -> None:
    one = _command(
        commands,
        "run",
        "run a training and watch what it prints",
        "What the training prints is passed on unchanged, it gets the signals, and its exit status is the command's.\n"
        "On a terminal it gets a terminal, so that colours and progress bars are as ever.",
    )
    _service(one)
    _reading(one)
    one.add_argument(
        "--stop-on",
        choices=("critical", "stop"),
        help="end it: 'critical' for every critical finding, 'stop' only where going on is pointless beyond doubt",
    )
    one.add_argument(
        "--grace",
        type=_seconds,
        default=60.0,
        metavar="SECONDS",
        help="how long it may take to end itself after SIGINT, then after SIGTERM (default: 60)",
    )
    one.add_argument("--no-pty", action="store_true", help="give it pipes, also on a terminal")
    one.add_argument(
        "words", metavar="COMMAND", nargs=argparse.REMAINDER, help="after --: the command and its arguments"
    )


def _command(commands: Any, name: str, summary: str, description: str) -> argparse.ArgumentParser:
    one: argparse.ArgumentParser = commands.add_parser(
        name, help=summary, description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    return one


def _service(one: argparse.ArgumentParser) -> None:
    group = one.add_argument_group("the run")
    group.add_argument("--run", metavar="NAME", help="its name (default: made of the file's, folder's or script's)")
    group.add_argument("--project", metavar="NAME", help="its project (default: LOSSWATCH_PROJECT)")
    group.add_argument("--url", metavar="URL", help="the service (default: LOSSWATCH_URL, or http://127.0.0.1:8000)")
    group.add_argument(
        "--set",
        dest="context",
        action="append",
        type=_pair,
        default=[],
        metavar="NAME=VALUE",
        help="what you know of the job, as in learning_rate=0.1 optimizer=sgd; may be given often",
    )
    group.add_argument("--quiet", "-q", action="store_true", help="say nothing of findings and verdicts")


def _reading(one: argparse.ArgumentParser) -> None:
    group = one.add_argument_group("if the log is read wrongly")
    for name in _COLUMNS:
        option = f"--{name.replace('_', '-')}-column"
        group.add_argument(
            option, metavar="NAME", help=f"the column with the {_SAID.get(name, name).replace('_', ' ')}"
        )


def columns(options: argparse.Namespace) -> List[Optional[str]]:
    """The columns that were named, in the order of ``losswatch_logs.Columns``."""
    return [getattr(options, f"{name}_column") for name in _COLUMNS]


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value < 1e9:
        raise argparse.ArgumentTypeError("must be more than 0")
    return value


def _pair(text: str) -> Tuple[str, Any]:
    """``learning_rate=0.1`` as a name and a number, a truth or a word."""
    name, sign, value = text.partition("=")
    if not sign or not name:
        raise argparse.ArgumentTypeError(f"{text!r} is no NAME=VALUE")
    if value.lower() in ("true", "false"):
        return name, value.lower() == "true"
    for kind in (int, float):
        try:
            return name, kind(value)
        except ValueError:
            continue
    return name, value
