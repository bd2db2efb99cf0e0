"""Small trainings in each framework, watched or not, that mark the processor time after each of their steps."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any, NamedTuple

import losswatch

os.environ.setdefault("KERAS_BACKEND", "torch")

BATCH = 8


class Mark(NamedTuple):
    """Seconds of processor time up to a moment: of the training thread, and of the whole process."""

    thread: float
    process: float


def mark() -> Mark:
    return Mark(time.thread_time(), time.process_time())


Train = Callable[[bool, int], list[Mark]]
"""Trains so many steps, watched or not."""


def _torch() -> ModuleType:
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(1)
    return torch


def _resnet(torch: Any) -> Any:
    """ResNet-20 for images of 32 x 32 (He et al. 2016, section 4.2): 0.27 million weights."""
    nn = torch.nn

    class Block(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self, before: int, after: int) -> None:
            super().__init__()
            stride = 1 if before == after else 2
            self.body = nn.Sequential(
                nn.Conv2d(before, after, 3, stride, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU(),
                nn.Conv2d(after, after, 3, 1, 1, bias=False), nn.BatchNorm2d(after),
            )  # fmt: skip
            self.way = nn.Identity() if before == after else nn.Conv2d(before, after, 1, 2, bias=False)

        def forward(self, x: Any) -> Any:
            return torch.relu(self.way(x) + self.body(x))

    widths = [(16, 16)] * 3 + [(16, 32)] + [(32, 32)] * 2 + [(32, 64)] + [(64, 64)] * 2
    stem = [nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU()]
    return nn.Sequential(
        *stem, *(Block(*width) for width in widths), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10)
    )


def _transformer(torch: Any) -> Any:
    """Four layers of width 128 on sequences of 64."""
    nn = torch.nn
    layer = nn.TransformerEncoderLayer(128, 4, 512, batch_first=True)
    return nn.Sequential(nn.Embedding(256, 128), nn.TransformerEncoder(layer, 4), nn.Linear(128, 256))


def _loop(torch: Any, model: Any, x: Any, y: Any, begin: Callable[[Any], Any]) -> Train:
    """A loop by hand; ``begin`` gets the optimizer and gives what is called with each step and loss, and at the end."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    loss_fn = torch.nn.CrossEntropyLoss()

    def train(is_watched: bool, steps: int) -> list[Mark]:
        log, finish = begin(optimizer) if is_watched else (None, lambda: None)
        marks = [mark()]
        for step in range(steps):
            output = model(x)
            loss = loss_fn(output.reshape(-1, output.shape[-1]), y.reshape(-1))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if log is not None:
                log(step, loss)
            marks.append(mark())
        finish()
        return marks

    return train


def torch_resnet() -> Train:
    torch = _torch()
    model = _resnet(torch)
    return _loop(torch, model, torch.randn(BATCH, 3, 32, 32), torch.randint(0, 10, (BATCH,)), _watch(model))


def torch_transformer() -> Train:
    torch = _torch()
    model, tokens = _transformer(torch), torch.randint(0, 256, (BATCH, 64))
    return _loop(torch, model, tokens, tokens, _watch(model))


def _watch(model: Any) -> Callable[[Any], Any]:
    def begin(optimizer: Any) -> Any:
        run = losswatch.torch.watch(model, optimizer, name="bench", quiet=True)
        return lambda step, loss: run.log(loss=loss), run.finish

    return begin


def accelerate() -> Train:
    import accelerate

    torch = _torch()
    model = _resnet(torch)

    def begin(optimizer: Any) -> Any:
        tracker = losswatch.accelerate.LosswatchTracker("bench", quiet=True)
        accelerator = accelerate.Accelerator(cpu=True, log_with=tracker)
        accelerator.init_trackers("bench", config={"learning_rate": 1e-4})
        return lambda step, loss: accelerator.log({"train/loss": loss}, step=step), accelerator.end_training

    return _loop(torch, model, torch.randn(BATCH, 3, 32, 32), torch.randint(0, 10, (BATCH,)), begin)


def transformers() -> Train:
    import transformers

    torch = _torch()
    config = transformers.GPT2Config(vocab_size=256, n_positions=64, n_embd=128, n_layer=4, n_head=4)
    model = transformers.GPT2LMHeadModel(config)
    rows = [{"input_ids": row, "labels": row} for row in torch.randint(0, 256, (BATCH * 8, 64))]

    class Marks(transformers.TrainerCallback):  # type: ignore[misc, name-defined]
        def on_step_begin(self, args: Any, state: Any, control: Any, **given: Any) -> None:
            taken.append(mark())

    taken: list[Mark] = []

    def train(is_watched: bool, steps: int) -> list[Mark]:
        taken.clear()
        arguments = transformers.TrainingArguments(
            tempfile.mkdtemp(), max_steps=steps + 1, per_device_train_batch_size=BATCH, report_to="none",
            save_strategy="no", use_cpu=True, logging_steps=1000, disable_tqdm=True,
            logging_nan_inf_filter=False,  # the watched one turns it off, and saves more by that than it costs
        )  # fmt: skip
        trainer = transformers.Trainer(model, arguments, train_dataset=rows, callbacks=[Marks()])
        if is_watched:
            losswatch.transformers.watch(trainer, "bench", quiet=True)
        trainer.train()
        return list(taken)

    return train


def lightning() -> Train:
    import logging
    import warnings

    import lightning

    torch = _torch()
    warnings.filterwarnings("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)

    class Module(lightning.LightningModule):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.net = _resnet(torch)

        def training_step(self, batch: Any, index: int) -> Any:
            return torch.nn.functional.cross_entropy(self.net(batch[0]), batch[1])

        def configure_optimizers(self) -> Any:
            return torch.optim.AdamW(self.parameters(), lr=1e-4)

    class Marks(lightning.Callback):  # type: ignore[misc, name-defined]
        def on_train_batch_start(self, *given: Any) -> None:
            taken.append(mark())

    taken: list[Mark] = []
    module = Module()
    data = torch.utils.data.TensorDataset(torch.randn(BATCH * 64, 3, 32, 32), torch.randint(0, 10, (BATCH * 64,)))
    loader = torch.utils.data.DataLoader(data, batch_size=BATCH)

    def train(is_watched: bool, steps: int) -> list[Mark]:
        taken.clear()
        callbacks = [Marks()]
        if is_watched:
            callbacks.append(losswatch.lightning.LosswatchCallback("bench", quiet=True))
        lightning.Trainer(
            max_steps=steps + 1, accelerator="cpu", logger=False, enable_checkpointing=False, callbacks=callbacks,
            enable_progress_bar=False, enable_model_summary=False,
        ).fit(module, loader)  # fmt: skip
        return list(taken)

    return train


def keras() -> Train:
    import keras

    torch = _torch()

    def block(x: Any) -> Any:
        y = keras.layers.ReLU()(keras.layers.BatchNormalization()(keras.layers.Conv2D(32, 3, padding="same")(x)))
        y = keras.layers.BatchNormalization()(keras.layers.Conv2D(32, 3, padding="same")(y))
        return keras.layers.ReLU()(keras.layers.Add()([x, y]))

    inputs = keras.Input((32, 32, 3))
    x = block(block(block(keras.layers.Conv2D(32, 3, padding="same")(inputs))))
    model = keras.Model(inputs, keras.layers.Dense(10)(keras.layers.GlobalAveragePooling2D()(x)))
    model.compile(keras.optimizers.Adam(1e-4), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    images, labels = torch.randn(BATCH * 64, 32, 32, 3).numpy(), torch.randint(0, 10, (BATCH * 64,)).numpy()

    class Marks(keras.callbacks.Callback):  # type: ignore[misc, name-defined]
        def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
            taken.append(mark())

    taken: list[Mark] = []

    def train(is_watched: bool, steps: int) -> list[Mark]:
        taken.clear()
        callbacks = [Marks()]
        if is_watched:
            callbacks.append(losswatch.keras.LosswatchCallback("bench", quiet=True))
        count = (steps + 1) * BATCH
        model.fit(images[:count], labels[:count], batch_size=BATCH, verbose=0, callbacks=callbacks)
        return list(taken)

    return train


def jax() -> Train:
    import jax
    import optax

    keys = jax.random.split(jax.random.key(1), 12)
    params = {
        "stem": 0.2 * jax.random.normal(keys[0], (3, 3, 3, 32)),
        "body": [0.05 * jax.random.normal(key, (3, 3, 32, 32)) for key in keys[1:9]],
        "head": 0.1 * jax.random.normal(keys[9], (32, 10)),
    }
    x, y = jax.random.normal(keys[10], (BATCH, 32, 32, 3)), jax.random.randint(keys[11], (BATCH,), 0, 10)

    def conv(x: Any, kernel: Any) -> Any:
        return jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))

    def loss_of(params: Any) -> Any:
        out = conv(x, params["stem"])
        for first, second in zip(params["body"][::2], params["body"][1::2], strict=True):
            out = jax.nn.relu(out + conv(jax.nn.relu(conv(out, first)), second))
        logits = out.mean((1, 2)) @ params["head"]
        return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()

    def stepper(optimizer: Any) -> Any:
        @jax.jit
        def step(params: Any, state: Any) -> Any:
            loss, grads = jax.value_and_grad(loss_of)(params)
            updates, state = optimizer.update(grads, state, params)
            return optax.apply_updates(params, updates), state, loss

        return step

    kinds = {False: optax.adam(1e-4), True: losswatch.jax.measured(optax.adam(1e-4))}
    steppers = {is_watched: stepper(optimizer) for is_watched, optimizer in kinds.items()}
    for is_watched, optimizer in kinds.items():
        jax.block_until_ready(steppers[is_watched](params, optimizer.init(params)))  # compiled beforehand

    def train(is_watched: bool, steps: int) -> list[Mark]:
        state, now = kinds[is_watched].init(params), params
        run = losswatch.jax.watch(params, "bench", quiet=True) if is_watched else None
        marks = [mark()]
        for _ in range(steps):
            now, state, loss = steppers[is_watched](now, state)
            if run is not None:
                run.log(loss=loss, state=state)
            loss.block_until_ready()
            marks.append(mark())
        losswatch.finish()
        return marks

    return train


def _rows() -> tuple[Any, Any]:
    import numpy

    x = numpy.random.default_rng(1).normal(size=(60_000, 30)).astype("float32")
    return x, (x[:, 0] * x[:, 1] + x[:, 2] > 0).astype("int32")


def xgboost() -> Train:
    import xgboost

    x, y = _rows()
    data = xgboost.DMatrix(x, y)
    options = {"objective": "binary:logistic", "eval_metric": "logloss", "nthread": 1}

    class Marks(xgboost.callback.TrainingCallback):  # type: ignore[misc, name-defined]
        def before_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
            taken.append(mark())
            return False

    taken: list[Mark] = []

    def train(is_watched: bool, steps: int) -> list[Mark]:
        taken.clear()
        callbacks = [Marks()]
        if is_watched:
            callbacks.append(losswatch.xgboost.LosswatchCallback("bench", quiet=True))
        xgboost.train(options, data, steps + 1, evals=[(data, "train")], callbacks=callbacks, verbose_eval=False)
        return list(taken)

    return train


def lightgbm() -> Train:
    import lightgbm

    x, y = _rows()
    data = lightgbm.Dataset(x, y, params={"verbose": -1, "num_threads": 1})
    options = {"objective": "binary", "verbose": -1, "num_threads": 1, "num_leaves": 63}
    taken: list[Mark] = []

    def marks(env: Any) -> None:
        taken.append(mark())

    marks.before_iteration = True  # type: ignore[attr-defined]

    def train(is_watched: bool, steps: int) -> list[Mark]:
        taken.clear()
        callbacks: list[Any] = [marks]
        if is_watched:
            callbacks.append(losswatch.lightgbm.LosswatchCallback("bench", quiet=True))
        lightgbm.train(options, data, steps + 1, valid_sets=[data], valid_names=["train"], callbacks=callbacks)
        return list(taken)

    return train


def sklearn() -> Train:
    from sklearn.neural_network import MLPClassifier

    x, y = _rows()
    x, y = x[:1000], y[:1000]

    def train(is_watched: bool, steps: int) -> list[Mark]:
        estimator = MLPClassifier((256, 256), random_state=1)
        if is_watched:
            losswatch.sklearn.watch(estimator, "bench", quiet=True)
        marks = [mark()]
        for _ in range(steps):
            estimator.partial_fit(x, y, classes=[0, 1])
            marks.append(mark())
        losswatch.finish()
        return marks

    return train


TRAININGS: Mapping[str, tuple[Callable[[], Train], str]] = {
    "PyTorch, ResNet-20": (torch_resnet, "torch"),
    "PyTorch, transformer": (torch_transformer, "torch"),
    "Hugging Face Trainer": (transformers, "transformers"),
    "Lightning, ResNet-20": (lightning, "lightning"),
    "Accelerate, ResNet-20": (accelerate, "accelerate"),
    "Keras 3, residual": (keras, "keras"),
    "JAX and optax, residual": (jax, "jax"),
    "XGBoost": (xgboost, "xgboost"),
    "LightGBM": (lightgbm, "lightgbm"),
    "scikit-learn MLP": (sklearn, "sklearn"),
}
"""Name -> what makes the training, and the package that it needs."""
