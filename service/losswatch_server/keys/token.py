"""The text of a key: ``lw_<id>_<secret><check>``.

The prefix lets scanners of repositories find a key that leaked, the id names its row, and the check (CRC-32) tells a
key that was cut or mistyped from one that is unknown, without a look into the database. The secret has 238 bits, so
its SHA-256 is enough at rest: a slow hash makes guessing slow, and here there is nothing to guess.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import zlib
from typing import NamedTuple

PREFIX = "lw"
_LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_ID_LETTERS = "abcdefghijkmnpqrstuvwxyz23456789"  # nothing that is read for something else
_ID, _SECRET, _CHECK = 10, 40, 6
_FORM = re.compile(rf"{PREFIX}_([{_ID_LETTERS}]{{{_ID}}})_([0-9A-Za-z]{{{_SECRET}}})([0-9A-Za-z]{{{_CHECK}}})")


class Token(NamedTuple):
    """A key as it is sent, taken apart."""

    id: str
    secret: str

    @property
    def text(self) -> str:
        """What is given out, once."""
        body = f"{PREFIX}_{self.id}_{self.secret}"
        return body + _check(body)

    @property
    def digest(self) -> str:
        """What is stored of the secret: 64 hexadecimal digits."""
        return hashlib.sha256(self.secret.encode()).hexdigest()


def new_token(id_: str | None = None) -> Token:
    """A key nobody has; with the id of an old one where its secret is to be replaced."""
    chosen = id_ or "".join(secrets.choice(_ID_LETTERS) for _ in range(_ID))
    return Token(chosen, "".join(secrets.choice(_LETTERS) for _ in range(_SECRET)))


def read_token(text: str) -> Token | None:
    """The parts of a key; None where the text is none, or was cut or mistyped."""
    found = _FORM.fullmatch(text.strip())
    if found is None or found[3] != _check(text.strip()[:-_CHECK]):
        return None
    return Token(found[1], found[2])


def _check(body: str) -> str:
    rest, letters = zlib.crc32(body.encode()), []
    for _ in range(_CHECK):
        rest, letter = divmod(rest, len(_LETTERS))
        letters.append(_LETTERS[letter])
    return "".join(letters)
