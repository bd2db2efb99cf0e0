"""What a column is: the names that frameworks give to the same series."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Dict, Iterable, List, Mapping, NamedTuple, Optional, Tuple

_REMEMBERED = 4096
"""The same few names come on every line of a log."""
_OTHER = re.compile(r"[^a-z0-9]+")

STEP = (
    "step", "global_step", "steps", "iteration", "iter", "iters", "iterations", "global_iteration", "global_iter",
    "train_step", "training_step", "trainer_global_step", "num_updates", "update", "updates", "num_steps",
    "current_iteration", "s", "it", "itr",
)  # fmt: skip
EPOCH = ("epoch", "epochs", "ep", "train_epoch", "epoch_number", "current_epoch", "epoch_num", "round")
BATCH = ("batch", "batch_idx", "batch_index", "minibatch", "batches", "inner_iter", "i")
"""Counters that begin anew in each epoch."""
LEARNING_RATE = ("learning_rate", "lr", "train_lr", "learningrate", "base_lr", "train_learning_rate", "opt_lr")
GRAD_NORM = (
    "grad_norm", "gradient_norm", "gnorm", "gradnorm", "grad_norm_total", "total_grad_norm", "global_grad_norm",
    "train_grad_norm", "train_gnorm", "grad_2_0_norm_total", "grad_norm_2", "total_norm", "norm", "gn",
    "grad_global_norm", "train_global_grad_norm", "norm_grad",
)  # fmt: skip
LOSS = (
    "loss", "train_loss", "training_loss", "loss_train", "loss_training", "train_loss_step", "training_loss_step",
    "loss_step", "batch_loss", "train_batch_loss", "total_loss", "train_total_loss", "loss_total", "lm_loss",
    "train_loss_epoch", "training_loss_epoch", "loss_epoch", "epoch_loss", "mean_loss", "avg_loss", "average_loss",
    "train_avg_loss", "train_average_loss", "avg_train_loss", "average_training_loss", "mean_train_loss",
    "running_loss", "epoch_train_loss", "tr_loss", "trn_loss", "trl", "losses", "train_losses", "nll_loss",
    "train_metrics_loss", "train_cost", "cost", "objective", "train_nll", "nll", "train_logloss", "training_logloss",
    "train_mlogloss", "training_multi_logloss", "training_binary_logloss", "train_rmse", "training_rmse",
    "train_mse", "training_mse", "training_l2", "train_mae", "train_error", "training_s_l2",
    "training_s_binary_logloss", "training_s_multi_logloss", "training_s_rmse", "mse", "train",
)  # fmt: skip
VALIDATION_LOSS = (
    "validation_loss", "val_loss", "valid_loss", "eval_loss", "loss_val", "loss_validation", "loss_valid", "dev_loss",
    "validation_loss_epoch", "val_loss_epoch", "valid_loss_epoch", "val_total_loss", "avg_val_loss",
    "average_val_loss", "val_avg_loss", "val_average_loss", "val_epoch_loss", "eval_lm_loss", "valid_metrics_loss",
    "val_losses", "vl_loss", "tel", "test_loss", "loss_test", "val_nll", "eval_nll", "eval_logloss", "valid_logloss",
    "validation_logloss", "eval_mlogloss", "eval_rmse", "valid_rmse", "validation_rmse", "val_rmse", "test_rmse",
    "val_mse", "valid_0_l2", "valid_0_binary_logloss", "valid_0_multi_logloss", "test_average_loss", "test_avg_loss",
    "valid_0_s_l2", "valid_0_s_binary_logloss", "valid_0_s_multi_logloss", "valid_0_s_rmse", "val_cost", "val",
)  # fmt: skip
HELD_OUT = ("val", "valid", "validation", "eval", "evaluation", "test", "dev")
"""First words of what is measured on data that is not trained on."""
_TRAINING_PARTS = re.compile(r"train_(?:\w+_)?loss")
_VALIDATION_PARTS = re.compile(r"val_(?:\w+_)?loss")

KNOWN = frozenset(STEP + EPOCH + BATCH + LEARNING_RATE + GRAD_NORM + LOSS + VALIDATION_LOSS)
_WORDS_OF_LOSS = frozenset(LOSS) - {"train", "objective", "s", "i"}


@lru_cache(maxsize=_REMEMBERED)
def plain(name: str) -> str:
    """A column's name in lower case with everything else than letters and digits as one underscore."""
    return _OTHER.sub("_", name.lower()).strip("_")


@lru_cache(maxsize=_REMEMBERED)
def held_out(name: str) -> bool:
    """Whether the name begins with a word for data that is not trained on."""
    return plain(name).split("_", 1)[0] in HELD_OUT


@lru_cache(maxsize=_REMEMBERED)
def is_loss(name: str) -> bool:
    """Whether a column of this name may be a training loss."""
    name = plain(name)
    return name in _WORDS_OF_LOSS or (
        (name.endswith("_loss") or name.startswith("loss_")) and not any(word in HELD_OUT for word in name.split("_"))
    )


@lru_cache(maxsize=_REMEMBERED)
def is_validation_loss(name: str) -> bool:
    """Whether a column of this name may be a validation loss."""
    name = plain(name)
    return name in VALIDATION_LOSS[:-1] or (
        (name.endswith("_loss") or name.startswith("loss_")) and any(word in HELD_OUT for word in name.split("_"))
    )


class Roles(NamedTuple):
    """Which columns are read as what. Loss and validation loss may be the sum of several columns (YOLO)."""

    step: Optional[str]
    epoch: Optional[str]
    batch: Optional[str]
    learning_rate: Optional[str]
    grad_norm: Optional[str]
    loss: Tuple[str, ...]
    validation_loss: Tuple[str, ...]
    metrics: Tuple[str, ...]
    left_out: int


MAX_METRICS = 64


def roles(counts: Mapping[str, int]) -> Roles:
    """The role of each column, given how many values each has (columns without a value have none)."""
    by_plain: Dict[str, str] = {}
    for name, count in counts.items():
        if count:
            by_plain.setdefault(plain(name), name)

    def first(wanted: Iterable[str]) -> Optional[str]:
        return next((by_plain[name] for name in wanted if name in by_plain), None)

    learning_rate = first(LEARNING_RATE) or _starting(by_plain, ("lr_", "learning_rate_"))
    grad_norm = first(GRAD_NORM) or _ending(by_plain, ("_grad_norm", "_norm_total", "_gnorm", "_gradient_norm"))
    loss = _named(first(LOSS))
    validation = _named(first(VALIDATION_LOSS))
    if not loss:
        parts = [name for key, name in by_plain.items() if _TRAINING_PARTS.fullmatch(key)]
        others = [name for key, name in by_plain.items() if is_loss(key)]
        loss = tuple(parts) if len(parts) > 1 and _are_parts(parts) else tuple(others[:1])
    if not validation:
        parts = [name for key, name in by_plain.items() if _VALIDATION_PARTS.fullmatch(key)]
        others = [name for key, name in by_plain.items() if is_validation_loss(key)]
        validation = tuple(parts) if len(parts) > 1 and _are_parts(parts) else tuple(others[:1])
    if not loss and not validation and {"wall_time", "value"} <= by_plain.keys():
        loss = (by_plain["value"],)  # TensorBoard's download of one scalar
    step, epoch, batch = first(STEP), first(EPOCH), first(BATCH)
    taken = {step, epoch, batch, learning_rate, grad_norm, *loss[: 1 if len(loss) == 1 else 0]}
    taken |= set(validation) if len(validation) == 1 else set()
    rest = [name for name, count in counts.items() if count and name not in taken]
    return Roles(
        step, epoch, batch, learning_rate, grad_norm, loss, validation,
        tuple(rest[:MAX_METRICS]), max(0, len(rest) - MAX_METRICS),
    )  # fmt: skip


def _are_parts(names: List[str]) -> bool:
    """Columns like train/box_loss, train/cls_loss are the parts of one sum; train_a_loss of two models may not be."""
    return all("/" in name for name in names)


def _named(name: Optional[str]) -> Tuple[str, ...]:
    return () if name is None else (name,)


def _starting(names: Mapping[str, str], prefixes: Tuple[str, ...]) -> Optional[str]:
    return next((name for key, name in names.items() if key.startswith(prefixes)), None)


def _ending(names: Mapping[str, str], suffixes: Tuple[str, ...]) -> Optional[str]:
    return next((name for key, name in names.items() if key.endswith(suffixes)), None)
