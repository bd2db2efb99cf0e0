"""JSON: whole documents (trainer state, columns, lists of points) and one object per line."""

from __future__ import annotations

import json
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from losswatch_logs import words as w
from losswatch_logs.lines import Line
from losswatch_logs.names import meaning
from losswatch_logs.numbers import cell
from losswatch_logs.roles import MAX_METRICS
from losswatch_logs.table import MAX_ROWS, Mark, Table

_DEPTH = 4
"""So deep are nested objects searched and flattened: {"train": {"loss": 0.5}} is train/loss."""
_CONTAINERS = ("history", "logs", "log", "metrics", "results", "data")
"""Names that say nothing of the columns within."""
_MODES = ("mode", "split", "phase", "stage")
_CONTEXT = ("framework", "optimizer", "learning_rate", "momentum", "batch_size", "total_steps", "steps_per_epoch")


def parse(text: str) -> Tuple[bool, Any]:
    """(True, document) where the text is one JSON document (NaN and Infinity allowed), else (False, None)."""
    try:
        return True, json.loads(text)
    except (ValueError, RecursionError):
        return False, None


def read_document(document: Any) -> Optional[Table]:
    """The table of a JSON document, or None when no shape is known that holds measurements."""
    if isinstance(document, dict) and isinstance(document.get("log_history"), list):
        return _trainer_state(document)
    if isinstance(document, dict) and isinstance(document.get("meta"), dict):
        table = _catboost(document)
        if table is not None:
            return table
    return _search(document, 0)


def read_loosely(document: Any) -> Optional[Table]:
    """The numbers of a list of objects or of lists by name, whatever they are called."""
    table = Table("json-rows")
    if isinstance(document, dict):
        lists = [(str(name), items) for name, items in document.items() if isinstance(items, list)]
        length = max((len(items) for _, items in lists), default=0)
        document = [{name: items[place] for name, items in lists if place < len(items)} for place in range(length)]
    for item in document if isinstance(document, list) else ():
        row = row_of(item) if isinstance(item, dict) else {}
        if row:
            table.add(row)
    return table if table.rows else None


def read_lines(lines: Sequence[Line]) -> Optional[Table]:
    """A log of one JSON object per line; other lines among them are skipped. None when no line is an object."""
    table = Table("json-lines")
    for line in lines:
        text = line.text.strip()
        found, document = parse(text) if text.startswith("{") else (False, None)
        row = row_of(document) if found and isinstance(document, dict) else {}
        if row:
            table.add(row, Mark(line.number))
        else:
            table.skip(line.number, line.text, "no numbers in it" if found else "not a JSON object")
    return table if table.rows else None


def row_of(document: Mapping[str, Any]) -> Dict[str, Optional[float]]:
    """The numbers of an object by their path; of a row of ``"mode": "val"`` with ``val_`` before."""
    row: Dict[str, Optional[float]] = {}
    _flatten(document, "", row, 0)
    if any(name in document and str(document[name])[:20].lower() in w.HELD_OUT for name in _MODES):
        row = {
            name if meaning(name).counts or meaning(name).held_out else f"val_{name}": value
            for name, value in row.items()
        }
    return row


def _flatten(value: Mapping[str, Any], path: str, row: Dict[str, Optional[float]], depth: int) -> None:
    for key, item in value.items():
        name = f"{path}{key}"[:200]
        if item is None:
            if _is_loss(name):
                row[name] = None
        elif isinstance(item, dict):
            if depth < _DEPTH:
                _flatten(item, f"{name}/", row, depth + 1)
        else:
            given = _value(item)
            if given is not None:
                row[name] = given


def _value(item: Any) -> Optional[float]:
    if isinstance(item, bool):
        return None
    if isinstance(item, (int, float)):
        try:
            return float(item)
        except OverflowError:
            return float("inf") if item > 0 else float("-inf")
    return cell(item) if isinstance(item, str) and len(item) < 200 else None


def _is_loss(name: str) -> bool:
    return meaning(name).kind == "loss" and not meaning(name).held_out


def _trainer_state(state: Mapping[str, Any]) -> Table:
    """Hugging Face's trainer_state.json."""
    table = Table("trainer-state")
    for place, entry in enumerate(state["log_history"], start=1):
        row = row_of(entry) if isinstance(entry, dict) else {}
        if "train_runtime" in row:
            table.skip(place, _quote(entry), "the summary at the end of the training, not a step")
        elif row:
            table.add(row)
    table.context["framework"] = "transformers"
    steps = _whole(state.get("max_steps"))
    epochs = _value(state.get("num_train_epochs"))
    if steps:
        table.context["total_steps"] = steps
        if epochs and epochs > 0 and (steps / epochs).is_integer():
            table.context["steps_per_epoch"] = int(steps / epochs)
    for key, name in (("logging_steps", "steps_per_point"), ("train_batch_size", "batch_size")):
        given = _whole(state.get(key))
        if given:
            table.context[name] = given
    return table


def _catboost(document: Mapping[str, Any]) -> Optional[Table]:
    """CatBoost's catboost_training.json: values in the order of the metrics that its ``meta`` lists."""
    iterations, meta = document.get("iterations"), document["meta"]
    names = [_metric_name(each) for each in _list_of(meta, "learn_metrics")]
    held_out = [_metric_name(each) for each in _list_of(meta, "test_metrics")]
    sets = [str(each) for each in _list_of(meta, "test_sets")]
    if not isinstance(iterations, list) or not names:
        return None
    table = Table("catboost-json")
    for place, entry in enumerate(iterations, start=1):
        step = _value(entry.get("iteration")) if isinstance(entry, dict) else None
        row: Dict[str, Optional[float]] = {} if step is None else {"iteration": step}
        if isinstance(entry, dict):
            row.update(_by_name(names, entry.get("learn")))
            if sets:
                row.update(_by_name([f"val_{name}" for name in held_out or names], entry.get(sets[0])))
        if len(row) > 1:
            table.add(row)
        else:
            table.skip(place, _quote(entry), "no numbers in it")
    table.context["framework"] = "catboost"
    steps = _whole(meta.get("iteration_count"))
    if steps:
        table.context["total_steps"] = steps
    return table if table.rows else None


def _list_of(document: Mapping[str, Any], name: str) -> List[Any]:
    items = document.get(name)
    return items if isinstance(items, list) else []


def _metric_name(item: Any) -> str:
    return str(item.get("name")) if isinstance(item, dict) else str(item)


def _by_name(names: Sequence[str], values: Any) -> Dict[str, Optional[float]]:
    given = [_value(value) for value in values] if isinstance(values, list) else []
    return {name: value for name, value in zip(names, given) if value is not None}


def _quote(item: Any) -> str:
    try:
        return json.dumps(item)
    except RecursionError:
        return "a deeply nested value"


def _whole(item: Any) -> Optional[int]:
    value = _value(item)
    return int(value) if value is not None and 0 < value < 2**53 and value == int(value) else None


def _search(document: Any, depth: int) -> Optional[Table]:
    if depth > _DEPTH:
        return None
    if isinstance(document, list):
        return _list(document, depth)
    if not isinstance(document, dict) or not document:
        return None
    for read in (_points, _by_step, _columns, _single):
        table = read(document)
        if table is not None:
            return table
    for item in document.values():
        table = _search(item, depth + 1) if isinstance(item, (dict, list)) else None
        if table is not None:
            return table
    return None


def _points(document: Mapping[str, Any]) -> Optional[Table]:
    points = document.get("points")
    table = _list(points) if isinstance(points, list) else None
    context = document.get("context")
    if table is not None and isinstance(context, dict):
        table.context.update(
            {name: context[name] for name in _CONTEXT if isinstance(context.get(name), (str, int, float))}
        )
    return table


def _list(items: List[Any], depth: int = 0) -> Optional[Table]:
    if not items:
        return None
    first = items[0]
    if isinstance(first, dict):
        table = Table("json-rows")
        for place, item in enumerate(items, start=1):
            row = row_of(item) if isinstance(item, dict) else {}
            if row:
                table.add(row)
            else:
                table.skip(place, _quote(item), "no numbers in it")
        return table if any(_measured(name) for name in table.counts()) else None
    if isinstance(first, list):
        return _tuples(items)
    if depth:
        return None  # a list of numbers under a name that is no loss
    table = Table("json-numbers")
    for item in items:
        given = _value(item)
        if item is not None and given is None:
            return None
        table.add({"loss": given})
    table.notes.append("a bare list of numbers, each taken as a loss")
    return table


def _tuples(items: List[Any]) -> Optional[Table]:
    """[step, value] pairs, or [wall time, step, value] as TensorBoard gives them."""
    names = {2: ("step", "loss"), 3: ("wall_time", "step", "loss")}.get(len(items[0]))
    if names is None:
        return None
    table = Table("json-rows")
    for item in items:
        given = [_value(part) for part in item] if isinstance(item, list) else []
        if len(given) != len(names) or given[-2] is None:
            return None
        table.add(dict(zip(names, given)))
    table.notes.append(f"lists of {len(names)} numbers, taken as {', '.join(names)}")
    return table


def _by_step(document: Mapping[str, Any]) -> Optional[Table]:
    """{"1": {"loss": 0.5}, "2": …} or {"1": 0.5, "2": 0.4}."""
    if not all(key.isascii() and key.isdigit() and len(key) < 16 for key in document):
        return None
    table = Table("json-rows")
    for key, item in document.items():
        row = row_of(item) if isinstance(item, dict) else {"loss": _value(item)}
        table.add({"step": float(key), **row})
    return table if any(_measured(name) for name in table.counts()) else None


def _columns(document: Mapping[str, Any]) -> Optional[Table]:
    """{"loss": [...], "val_loss": [...]}: Keras' History.history, pandas' to_json, and their like, also nested."""
    lists: Dict[str, List[Any]] = {}
    _gather(document, "", lists, 0)
    if not any(_measured(name) for name in lists):
        return None
    table = Table("json-columns", by_epoch=any(meaning(name).held_out for name in lists))
    rows: List[Dict[str, Optional[float]]] = [{} for _ in range(min(max(map(len, lists.values())), MAX_ROWS + 1))]
    for name, items in lists.items():
        kept_null = _is_loss(name)
        for row, item in zip(rows, items):
            given = _value(item)
            if given is not None or (item is None and kept_null):
                row[name] = given
    for row in rows:
        if row:
            table.add(row)
    return table if table.rows else None


def _gather(value: Mapping[str, Any], path: str, lists: Dict[str, List[Any]], depth: int) -> None:
    for key, item in value.items():
        name = f"{path}{key}"[:200]
        if len(lists) >= 4 * MAX_METRICS and not _measured(name):
            continue
        if isinstance(item, list):
            if item and not isinstance(item[0], (list, dict)):
                lists[name] = item
        elif isinstance(item, dict) and depth < _DEPTH:
            if item and all(index.isdigit() for index in item):
                lists[name] = list(item.values())
            else:
                _gather(item, path if key.lower() in _CONTAINERS else f"{name}/", lists, depth + 1)


def _single(document: Mapping[str, Any]) -> Optional[Table]:
    row = row_of(document)
    if not any(_measured(name) and value is not None for name, value in row.items()):
        return None
    table = Table("json-lines")
    table.add(row)
    return table


def _measured(name: str) -> bool:
    return meaning(name).measured
