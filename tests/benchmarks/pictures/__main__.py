"""Draw every picture of the documentation anew: those of README and benchmark beside this module, a condition's into
the catalogue."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from benchmarks.pictures import conditions, curves, diverging, reliability

ROOT = Path(__file__).parents[3]
CATALOGUE = ROOT / "service" / "losswatch_server" / "catalogue" / "pictures"
PICTURES: Mapping[Path, Callable[[], str]] = {
    ROOT / "tests" / "benchmarks" / "pictures" / "first-run.svg": diverging.draw,
    ROOT / "tests" / "benchmarks" / "pictures" / "reliability.svg": reliability.draw,
    **{CATALOGUE / f"{condition}.svg": partial(conditions.draw, condition) for condition in curves.RUNS},
}


def draw_all() -> None:
    """Write every picture to its file."""
    for path, draw in PICTURES.items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(draw(), encoding="utf-8")
        print(f"drawn {path.relative_to(ROOT)}")


if __name__ == "__main__":
    draw_all()
