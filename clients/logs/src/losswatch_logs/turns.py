"""Two bars by turns with totals of their own, (3708/3708) and (493/493): the training's and the validation's."""

from __future__ import annotations

from typing import Dict, List, Optional, Sequence, Tuple

from losswatch_logs.names import PLACE, meaning
from losswatch_logs.table import Table

Totals = Sequence[Optional[float]]
_LEAST = 2
"""So often the turn must come: a last epoch of another length is no validation."""


def tell_apart(table: Table, totals: Totals) -> None:
    """Names the values of every second bar as validation. ``totals``: what stands behind the slash, row by row."""
    turns: List[Tuple[float, List[int]]] = []
    for place, (row, total) in enumerate(zip(table.rows, totals)):
        if total is None or PLACE not in row:
            continue
        if turns and turns[-1][0] == total and not _begins_anew(table, turns[-1][1][-1], place):
            turns[-1][1].append(place)
        else:
            turns.append((total, [place]))
    if len(turns) < 2 * _LEAST or len({total for total, _ in turns}) != 2:
        return
    first = turns[0][0]
    if any((total == first) != (number % 2 == 0) for number, (total, _) in enumerate(turns)):
        return
    for _, places in turns[1::2]:
        for place in places:
            table.rows[place] = _held_out(table, place)


def _begins_anew(table: Table, before: int, place: int) -> bool:
    return (table.rows[place][PLACE] or 0.0) <= (table.rows[before][PLACE] or 0.0)


def _held_out(table: Table, place: int) -> Dict[str, Optional[float]]:
    row: Dict[str, Optional[float]] = {}
    for name, value in table.rows[place].items():
        means = meaning(table.spelled(name))
        if means.counts or means.split or means.kind == "learning_rate":
            if name != PLACE:
                row[name] = value
        else:
            row[f"val_{name}"] = value
            table.names.setdefault(f"val_{name}", f"val {table.spelled(name)}")
    return row
