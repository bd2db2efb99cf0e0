"""The folder where spools wait, and below it ``rejected``: what nobody will ever take, each with the reason."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from pathlib import Path
from typing import List, Optional

from losswatch.spool import Address, FileSpool

REJECTED = "rejected"
SUFFIX = ".jsonl"


def spool_path(folder: Path, address: Address) -> Path:
    """The file of one run and writer below ``folder``."""
    return folder / f"{_key(address)}-{address.writer}{SUFFIX}"


def files_of_run(folder: Optional[Path], address: Address) -> List[Path]:
    """What other writers of the same run left, oldest first."""
    if folder is None:
        return []
    own = spool_path(folder, address).name
    return [path for path in files(folder) if path.name.startswith(_key(address) + "-") and path.name != own]


def files(folder: Path) -> List[Path]:
    """Every spool in a folder, oldest first; none is opened."""
    found = []
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.endswith(SUFFIX):
                with contextlib.suppress(OSError):  # gone meanwhile
                    found.append((entry.stat().st_mtime, entry.name))
    return [folder / name for _, name in sorted(found)]


def reject(spool: FileSpool, reason: str) -> Path:
    """Moves a spool out of the way for good; its reason lies beside it. Raises OSError."""
    to = place_for_rejected(spool.path, reason)
    if sys.platform == "win32":
        spool.let_go()  # an open file cannot be moved there
    spool.path.replace(to)
    spool.let_go()
    return to


def place_for_rejected(path: Path, reason: str) -> Path:
    """Where a rejected file goes; its reason is there already. Raises OSError."""
    folder = path.parent if path.parent.name == REJECTED else path.parent / REJECTED
    folder.mkdir(exist_ok=True, mode=0o700)
    to = folder / path.name
    to.with_suffix(".reason.txt").write_text(reason + "\n", encoding="utf-8")
    return to


def default_folder() -> Path:
    """Where spools lie: ``LOSSWATCH_SPOOL_DIR``, or the platform's place for a program's state."""
    given = os.environ.get("LOSSWATCH_SPOOL_DIR")
    if given:
        return Path(given)
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Application Support"
    else:
        base = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    return base / "losswatch" / "spool"


def _key(address: Address) -> str:
    import hashlib  # in the sender's thread, where the connection needs it too

    key = json.dumps([address.url, address.project, address.run])
    return hashlib.sha256(key.encode()).hexdigest()[:12]
