"""Which of the media types that an endpoint offers a client wants most (RFC 9110, section 12.5.1)."""

from __future__ import annotations

from collections.abc import Sequence

JSON, HTML = "application/json", "text/html"


def preferred(accept: str | None, offered: Sequence[str]) -> str:
    """The offered type with the highest quality for ``Accept``; the first one when none is asked for or acceptable.

    An answer in another type is more useful to a person with a browser or a shell than 406.
    """
    if not accept:
        return offered[0]
    ranges = [_parse(item) for item in accept.split(",") if item.strip()]
    best = max(offered, key=lambda media_type: _quality(media_type, ranges))
    return best if _quality(best, ranges) > 0 else offered[0]


def _parse(item: str) -> tuple[str, float]:
    media_range, *parameters = (part.strip().lower() for part in item.split(";"))
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return media_range, min(max(float(value), 0.0), 1.0)
            except ValueError:
                return media_range, 0.0
    return media_range, 1.0


def _quality(media_type: str, ranges: Sequence[tuple[str, float]]) -> float:
    """The quality of the most specific range that covers the type."""
    for covering in (media_type, media_type.partition("/")[0] + "/*", "*/*"):
        for media_range, quality in ranges:
            if media_range == covering:
                return quality
    return 0.0
