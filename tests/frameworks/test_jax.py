"""JAX with optax, Flax and Equinox: the norm is taken inside of the compiled step and read outside of it."""

from __future__ import annotations

from typing import Any

import pytest

import losswatch
from frameworks import sent

jax = pytest.importorskip("jax", reason="jax is not installed")
optax = pytest.importorskip("optax", reason="optax is not installed")

import jax.numpy as jnp  # noqa: E402

pytestmark = [pytest.mark.frameworks, pytest.mark.filterwarnings("ignore")]

X = jax.random.normal(jax.random.key(1), (32, 3))


def test_a_compiled_step_with_donated_state_reports_loss_and_norm_before_clipping(service: Any) -> None:
    params = {"w": jnp.ones(3), "b": jnp.zeros(())}
    optimizer = losswatch.jax.measured(optax.chain(optax.clip_by_global_norm(0.01), optax.adam(0.1)))
    state = optimizer.init(params)
    run = losswatch.jax.watch(params, "j", optimizer="adam", learning_rate=0.1, quiet=True)

    def loss_of(params: Any) -> Any:
        return jnp.mean((X @ params["w"] + params["b"] - X.sum(1) * 2) ** 2)

    @jax.jit
    def evaluate(params: Any) -> Any:
        loss, grads = jax.value_and_grad(loss_of)(params)
        return loss, optax.global_norm(grads)

    def step(params: Any, state: Any) -> Any:
        loss, grads = jax.value_and_grad(loss_of)(params)
        updates, state = optimizer.update(grads, state, params)
        return optax.apply_updates(params, updates), state, loss

    compiled = jax.jit(step, donate_argnums=(0, 1))
    expected = []
    for _ in range(6):
        expected.append([float(number) for number in evaluate(params)])
        params, state, loss = compiled(params, state)
        run.log(loss=loss, state=state)
    run.finish()
    points = sent.points(service)
    assert [points[i]["loss"] for i in range(6)] == pytest.approx([loss for loss, _ in expected], rel=1e-4)
    assert [points[i]["grad_norm"] for i in range(6)] == pytest.approx([norm for _, norm in expected], rel=1e-4)
    assert 0 < points[0]["metrics"]["update_to_weight"] < 1
    assert sent.facts(service)["parameters"] == 4
    assert (sent.context(service)["framework"], sent.context(service)["optimizer"]) == ("jax", "adam")


def test_a_flax_train_state_is_read_as_it_is(service: Any) -> None:
    linen = pytest.importorskip("flax.linen", reason="flax is not installed")
    train_state = pytest.importorskip("flax.training.train_state")
    model = linen.Dense(1)
    params = model.init(jax.random.key(0), X)["params"]
    state = train_state.TrainState.create(
        apply_fn=model.apply, params=params, tx=losswatch.jax.measured(optax.sgd(0.1))
    )
    run = losswatch.jax.watch(params, "flax", quiet=True)

    def loss_of(params: Any) -> Any:
        return jnp.mean((state.apply_fn({"params": params}, X)[:, 0] - X.sum(1)) ** 2)

    norms = []
    for _ in range(3):
        loss, grads = jax.value_and_grad(loss_of)(state.params)
        norms.append(float(optax.global_norm(grads)))
        state = state.apply_gradients(grads=grads)
        losswatch.log(loss=loss, state=state)
    run.finish()
    assert [point["grad_norm"] for point in sent.points(service).values()] == pytest.approx(norms, rel=1e-5)


def test_an_equinox_model_is_counted_and_trained(service: Any) -> None:
    equinox = pytest.importorskip("equinox", reason="equinox is not installed")
    model = equinox.nn.MLP(3, 1, 4, 1, key=jax.random.key(0))
    optimizer = losswatch.jax.measured(optax.adam(0.01))
    state = optimizer.init(equinox.filter(model, equinox.is_array))
    run = losswatch.jax.watch(equinox.filter(model, equinox.is_array), "eqx", quiet=True)

    @equinox.filter_jit
    def step(model: Any, state: Any) -> Any:
        loss, grads = equinox.filter_value_and_grad(lambda m: jnp.mean((jax.vmap(m)(X)[:, 0] - X.sum(1)) ** 2))(model)
        updates, state = optimizer.update(grads, state, equinox.filter(model, equinox.is_array))
        return equinox.apply_updates(model, updates), state, loss

    for _ in range(3):
        model, state, loss = step(model, state)
        run.log(loss=loss, state=state)
    run.finish()
    assert all(point["grad_norm"] > 0 for point in sent.points(service).values())
    assert sent.facts(service)["parameters"] == 3 * 4 + 4 + 4 + 1
