"""JAX with optax, Flax or Equinox: the gradient norm travels in the optimiser's state, and is read from there.

optimizer = losswatch.jax.measured(optax.adam(1e-3))
run = losswatch.jax.watch(params, optimizer="adam", learning_rate=1e-3)
...
run.log(loss=loss, state=opt_state)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict, List, NamedTuple, Optional

from losswatch import session
from losswatch.run import Run

if TYPE_CHECKING:
    jax: Any
    jnp: Any
    optax: Any
else:
    import jax
    import jax.numpy as jnp
    import optax


class Norms(NamedTuple):
    """The state of `measured`: the norm of the last gradients, and of the last update relative to the parameters."""

    grad_norm: Any
    update_to_weight: Any
    inner: Any


def measured(optimizer: Any) -> Any:
    """The optimiser, with the norm of the gradients that it gets in its state; may be compiled and sharded as it was.

    The gradients are those before any clipping that ``optimizer`` does itself (``optax.chain(clip, adam)``).
    """
    inner = optax.with_extra_args_support(optimizer)

    def init(params: Any) -> Norms:
        return Norms(jnp.zeros(()), jnp.zeros(()), inner.init(params))

    def update(grads: Any, state: Norms, params: Any = None, **extra: Any) -> Any:
        updates, after = inner.update(grads, state.inner, params, **extra)
        ratio = jnp.zeros(()) if params is None else _norm(updates) / jnp.maximum(_norm(params), 1e-30)
        return updates, Norms(_norm(grads), ratio, after)

    return optax.GradientTransformationExtraArgs(init, update)


def watch(params: Any = None, name: Optional[str] = None, *, run: Optional[Run] = None, **options: Any) -> JaxRun:
    """Begins the run of a JAX training. ``params`` are counted; ``name`` and ``options`` are `losswatch.init`'s."""
    watched = JaxRun(run or session.current() or session.init(name, **options))
    context: Dict[str, Any] = {"framework": "jax"}
    if params is not None:
        leaves = [leaf for leaf in jax.tree_util.tree_leaves(params) if hasattr(leaf, "size")]
        context["facts"] = {"parameters": int(sum(leaf.size for leaf in leaves))}
    watched.run.update_context(**context)
    session.route(watched.run, watched.log)
    return watched


class JaxRun:
    """A `Run` whose ``log`` takes a state, too. Whatever a Run has, it has (``check``, ``report``, …)."""

    def __init__(self, run: Run) -> None:
        self.run = run

    def __getattr__(self, name: str) -> Any:
        if name == "run":  # not there yet: a copy
            raise AttributeError(name)
        return getattr(self.run, name)

    def log(self, step: Any = None, /, *others: Any, state: Any = None, **values: Any) -> None:
        """What `Run.log` takes, and ``state``: an optimiser's, or a Flax ``TrainState``, of a `measured` optimiser.

        Nothing is waited for. Numbers are copied on their device, as a state that is donated to the next step is gone.
        """
        found = _find(state)
        if found is not None:
            values.setdefault("grad_norm", jnp.copy(found.grad_norm))
            values.setdefault("metrics", {"update_to_weight": jnp.copy(found.update_to_weight)})
        self.run.log(step, *others, **values)


def _norm(tree: Any) -> Any:
    leaves: List[Any] = [leaf for leaf in jax.tree_util.tree_leaves(tree) if hasattr(leaf, "dtype")]
    return jnp.sqrt(sum((jnp.sum(jnp.square(jnp.abs(leaf).astype(jnp.float32))) for leaf in leaves), jnp.zeros(())))


def _find(state: Any) -> Optional[Norms]:
    if state is None:
        return None
    leaves = jax.tree_util.tree_leaves(state, is_leaf=lambda part: isinstance(part, Norms))
    return next((leaf for leaf in leaves if isinstance(leaf, Norms)), None)
