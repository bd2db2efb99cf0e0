"""The dashboard's own files: scripts, the style sheet, data. Held in memory; their address changes with them."""

from __future__ import annotations

import gzip
import hashlib
import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

STATIC = Path(__file__).parent / "static"
MEDIA_TYPES = {
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
}


@dataclass(frozen=True, slots=True)
class Asset:
    """A file as it is sent. ``etag`` is that of its content."""

    content: bytes
    zipped: bytes
    media_type: str
    etag: str


@cache
def assets() -> Mapping[str, Asset]:
    """Every file by its path below ``static``."""
    return {
        path.relative_to(STATIC).as_posix(): _read(path)
        for path in sorted(STATIC.rglob("*"))
        if path.suffix in MEDIA_TYPES
    }


@cache
def version() -> str:
    """Of all files together. Modules import each other by relative paths, so they change their address together."""
    digest = hashlib.blake2b(digest_size=6)
    for name, asset in assets().items():
        digest.update(f"{name} {asset.etag}\n".encode())
    return digest.hexdigest()


def address(name: str) -> str:
    """Where a file is found. Raises KeyError for one that does not exist: a page would lack it unseen."""
    if name not in assets():
        raise KeyError(name)
    return f"/assets/{version()}/{name}"


@cache
def imported(script: str) -> tuple[str, ...]:
    """The modules that a script imports, and those that they import: a page asks for all of them at once."""
    found: dict[str, None] = {}
    waiting = [script]
    while waiting:
        module = waiting.pop()
        for near in re.findall(rb'^import [^;]*?"(\.[^"]+)";', assets()[module].content, re.MULTILINE):
            name = posixpath.normpath(posixpath.join(posixpath.dirname(module), near.decode()))
            if name not in found and name != script:
                found[name] = None
                waiting.append(name)
    return tuple(found)


def _read(path: Path) -> Asset:
    content = path.read_bytes()
    return Asset(
        content=content,
        zipped=gzip.compress(content, mtime=0),
        media_type=MEDIA_TYPES[path.suffix],
        etag=f'"{hashlib.blake2b(content, digest_size=12).hexdigest()}"',
    )
