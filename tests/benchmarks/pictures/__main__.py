"""Draw every picture of the documentation anew into ``docs/``."""

from __future__ import annotations

from pathlib import Path

from benchmarks.pictures import diverging

FOLDER = Path(__file__).parents[3] / "docs"
PICTURES = {"diverging.svg": diverging.draw}


def draw_all() -> None:
    """Write every picture to its file."""
    for name, draw in PICTURES.items():
        (FOLDER / name).write_text(draw(), encoding="utf-8")
        print(f"drawn {FOLDER / name}")


if __name__ == "__main__":
    draw_all()
