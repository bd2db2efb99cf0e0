"""Names as the service takes them, made of whatever was given, and what a misspelt one stands for. Pure."""

from __future__ import annotations

import re
import unicodedata
from typing import Any, Iterable, List, Mapping, Optional

MAX_SLUG = 128
MAX_NAME = 256
_QUALITY = frozenset(
    (
        *("accuracy", "acc", "top1", "f1", "auc", "precision", "recall", "map", "bleu", "r2", "iou", "miou", "reward"),
        *("error", "err", "perplexity", "ppl", "wer", "cer"),
    )
)
_AFFIXES = re.compile(
    r"^(?:val(?:idation)?|eval|train(?:ing)?|test|batch|epoch|sparse|categorical|binary)[_/ ]"
    r"|[_/ ](?:val|valid|validation|eval|train|test|score|step|epoch)$"
)
_NOT_IN_A_SLUG = re.compile(r"[^A-Za-z0-9._-]+")


def slug(given: Any, default: str) -> str:
    """The name of a run or a project: letters, digits and ``._-``, at most 128.

    Two that differ only where they are cut, or of which nothing is left, stay apart by the beginning of a hash.
    """
    text = str(given)
    kept = _NOT_IN_A_SLUG.sub("-", text).lstrip("._-")
    if not kept:
        return f"{default}-{_digest(text)}" if text else default
    return kept if len(kept) <= MAX_SLUG else f"{kept[: MAX_SLUG - 9]}-{_digest(text)}"


def plain(given: Any) -> str:
    """The name of a layer, a metric, a tag or a hyper-parameter: printable and at most 256 characters.

    A name that has to be changed ends with the beginning of a hash, so that two never become one.
    """
    text = str(given)
    if text.isprintable() and 0 < len(text) <= MAX_NAME:
        return text
    kept = printable(text)
    if kept == text and 0 < len(text) <= MAX_NAME:
        return text
    return f"{kept[: MAX_NAME - 9] or 'unnamed'}-{_digest(text)}"


def printable(text: str) -> str:
    """``text`` with a blank for each control character and each half of a broken surrogate pair."""
    if text.isprintable():
        return text
    return "".join(" " if unicodedata.category(letter) in ("Cc", "Cs") else letter for letter in text)


def meant(name: str, known: Iterable[str], synonyms: Mapping[str, str]) -> Optional[str]:
    """The known name that ``name`` is a slip of: a synonym, other separators, or at most two letters wrong."""
    words = tuple(known)
    folded = name.strip().lower().replace("-", "_").replace(" ", "_")
    if name in words or len(folded) > 32:
        return None
    if folded in words or folded in synonyms:
        return synonyms.get(folded, folded)
    if len(folded) < 5:
        return None
    best = min((*words, *(word for word in synonyms if len(word) > 5)), key=lambda word: slips(folded, word))
    return synonyms.get(best, best) if slips(folded, best) <= (1 if len(folded) < 8 else 2) else None


def says_how_good(name: str) -> bool:
    """Whether a metric is accuracy or its like ("val_acc"), which the service takes as evidence."""
    bare = re.sub(r"[^a-z0-9/]+", "_", name.strip().lower()).rsplit("/", 1)[-1]
    while (cut := _AFFIXES.sub("", bare)) != bare:
        bare = cut
    return bare.replace("_", "") in _QUALITY


def slips(one: str, other: str) -> int:
    """Letters left out, put in, changed or swapped between two words (Damerau 1964, optimal string alignment)."""
    before: List[int] = []
    row = list(range(len(other) + 1))
    for i, letter in enumerate(one, 1):
        before, last, row = row, before, [i]
        for j, wanted in enumerate(other, 1):
            cost = min(before[j] + 1, row[-1] + 1, before[j - 1] + (letter != wanted))
            if i > 1 and j > 1 and letter == other[j - 2] and one[i - 2] == wanted:
                cost = min(cost, last[j - 2] + 1)
            row.append(cost)
    return row[-1]


def _digest(text: str) -> str:
    import hashlib  # with OpenSSL behind it, which few names need

    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]
