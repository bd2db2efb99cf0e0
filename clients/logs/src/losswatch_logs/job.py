"""What a log says of the job beside the curve: optimizer, learning rate, batch size, precision, epochs, classes."""

from __future__ import annotations

import math
import re
from typing import Any, Dict, List, Pattern

_SEARCHED = 400_000
"""Characters from the start that are searched for the job's settings; they are printed before the training begins."""
_IS = r"[\"']?\s*[:=]\s*[\"']?"
_NUMBER = r"(\d+(?:\.\d*)?(?:e[-+]?\d+)?)"
_BATCH_SIZE = re.compile(
    r"(?<![\w])(?:(?:per_device_)?train_|global[ _-]|total_|instantaneous |mini)?(?:batch[ _-]?size)"
    r"(?:_per_device|_train)?" + _IS + r"(\d{1,7})\b",
    re.IGNORECASE,
)
_OPTIMIZER = re.compile(
    r"optim(?:izer)?(?:_name|_type)?"
    + _IS
    + r"(?:torch\.optim\.|<class ')?(?:paged_)?"
    + r"(adamw?|sgd|adagrad|adadelta|adafactor|rmsprop|lamb|lion|nadam|radam|lbfgs|muon)",
    re.IGNORECASE,
)
_RATE = re.compile(r"(?<![\w])(?:initial[ _])?(?:learning[ _-]?rate|lr|lr0)" + _IS + _NUMBER, re.IGNORECASE)
_CLASSES = re.compile(
    r"(?<![A-Za-z_])(?:num[ _]?(?:of[ _])?(?:classes|labels)|n_classes|nc)"
    + _IS
    + r"(\d{1,6})\b|\b(\d{1,6}) classes\b",
    re.IGNORECASE,
)
_MOMENTUM = re.compile(r"(?:(Norm\w{0,12}\([^()\n]{0,80})|\b)momentum" + _IS + r"(0?\.\d+)", re.IGNORECASE)
"""That of the optimizer; a printed model has one in each of its normalisations."""
_DECAY = re.compile(r"\bweight[ _]decay" + _IS + _NUMBER, re.IGNORECASE)
_CLIP = re.compile(
    r"\b(?:max_grad_norm|clip_grad(?:_norm)?|grad(?:ient)?_clip(?:_val|_norm)?|gradient_clipping|clip_norm)"
    + _IS
    + _NUMBER,
    re.IGNORECASE,
)
_BFLOAT = re.compile(
    r"\bbf16['\"]?\s*[:=]\s*true|bf16-mixed|\bbfloat16\b|--bf16\b|precision" + _IS + "bf16", re.IGNORECASE
)
_HALF = re.compile(
    r"\bfp16['\"]?[ ]*[:=][ ]*(?:true|\{)|\b16-mixed|16bit (?:native |automatic )?(?:mixed|amp)|mixed_float16"
    r"|--fp16\b|precision"
    + _IS + r"(?:fp|float)?16\b|\bhalf precision (?:training|backend)|torch\.float16",
    re.IGNORECASE,
)  # fmt: skip
_WORD = re.compile(r"\b(bf16|fp16|fp32|float16|float32|bfloat16)\b", re.IGNORECASE)
_WORDS = {"float16": "fp16", "float32": "fp32", "bfloat16": "bf16"}
_OVERFLOW = re.compile(
    r"OVERFLOW!|[Gg]radient overflow|overflow detected|reducing loss scale|loss scale reached|[Ll]owering loss scale|"
    r"Minimum loss scale|Current loss scale already at minimum"
)
_LOSS_SCALE = re.compile(
    r"(?:loss[ _]scale|scaler/scale|amp_scale|grad[ _]scale)[\"']?\s*[:=]\s*(\d+(?:\.\d*)?(?:e\+?\d+)?)", re.IGNORECASE
)
_FRAMEWORKS = (
    ("ultralytics", re.compile(r"\bUltralytics\b|YOLOv[58]")),
    ("deepspeed", re.compile(r"\[deepspeed\]|DeepSpeed")),
    ("megatron", re.compile(r"elapsed time per iteration \(ms\)")),
    ("fairseq", re.compile(r"\bfairseq|\bgnorm\b.*\bnum_updates\b")),
    ("mmengine", re.compile(r"\bmm(?:engine|det|seg|cls|cv)\b")),
    ("detectron2", re.compile(r"d2\.utils\.events|detectron2")),
    ("catboost", re.compile(r"\tlearn: .*\tbest: ")),
    ("xgboost", re.compile(r"^\[\d+\]\s+(?:train|validation_0)-\w+:", re.MULTILINE)),
    ("lightgbm", re.compile(r"\[LightGBM\]|^\[\d+\]\s+(?:training|valid_0)'s ", re.MULTILINE)),
)


def job(text: str) -> Dict[str, Any]:
    """Keys of the contract's context, as far as the text says them; ``tags`` hold the signs of a half precision that
    overflows."""
    head = text[:_SEARCHED]
    said: Dict[str, Any] = {}
    for name, pattern, kind in (
        ("batch_size", _BATCH_SIZE, int),
        ("weight_decay", _DECAY, float),
        ("grad_clip", _CLIP, float),
    ):
        found = pattern.search(head)
        if found:
            said[name] = kind(found[1])
    momentum = next((found for found in _MOMENTUM.finditer(head) if not found[1]), None)
    if momentum:
        said["momentum"] = float(momentum[2])
    optimizer = _OPTIMIZER.search(head)
    if optimizer:
        said["optimizer"] = optimizer[1].lower()
    classes = _CLASSES.search(head)
    if classes:
        count = int(classes[1] or classes[2])
        if count > 1:
            said["num_classes"] = count
    for framework, pattern in _FRAMEWORKS:
        if pattern.search(head[:40_000]):
            said["framework"] = framework
            break
    said.update(_precision(text, head))
    return said


def of_heading(text: str) -> Dict[str, Any]:
    """What the heading of a run says of it: "with bf16:", "lr=0.01"."""
    said: Dict[str, Any] = dict(learning_rate(text))
    word = _WORD.search(text)
    if word:
        said["precision"] = _WORDS.get(word[1].lower(), word[1].lower())
    return said


def learning_rate(text: str) -> Dict[str, float]:
    """The learning rate that a text names, where it names one alone, for logs whose points carry none."""
    rates = {float(found) for found in _RATE.findall(text[:_SEARCHED])}
    return {"learning_rate": rates.pop()} if len(rates) == 1 and 0.0 not in rates else {}


def _lines_with(pattern: Pattern[str], text: str) -> int:
    lines, end = 0, -1
    for found in pattern.finditer(text):
        if found.start() > end:
            lines += 1
            end = text.find("\n", found.end())
            if end < 0:
                break
    return lines


def _precision(text: str, head: str) -> Dict[str, Any]:
    overflows = _lines_with(_OVERFLOW, text) if "verflow" in text or "VERFLOW" in text or "oss scale" in text else 0
    scales: List[str] = _LOSS_SCALE.findall(text) if "scale" in text else []
    said: Dict[str, Any] = {}
    tags: Dict[str, str] = {}
    if overflows:
        tags["half_precision_overflow"] = (
            f"{overflows} {'line tells' if overflows == 1 else 'lines tell'} of an overflow"
        )
    changing = {float(scale) for scale in scales}
    if len(changing) > 1:
        first, last = float(scales[0]), float(scales[-1])
        if last < first:
            tags["loss_scale"] = f"it fell from {first:g} to {last:g}"
    if scales and math.isfinite(float(scales[-1])):
        said["facts"] = {"loss_scale": float(scales[-1])}
    if _BFLOAT.search(head):
        said["precision"] = "bf16"
    elif _HALF.search(head) or overflows or len(changing) > 1:
        said["precision"] = "fp16"
    if tags:
        said["tags"] = tags
    return said
