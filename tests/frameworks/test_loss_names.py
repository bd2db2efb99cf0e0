"""Every loss that the installed frameworks have is known by its name."""

from __future__ import annotations

import pytest

from losswatch_server.monitor.loss_kind import Family, family_of

pytestmark = [pytest.mark.frameworks, pytest.mark.filterwarnings("ignore")]

BESIDE = {"Loss", "deserialize", "get", "serialize", "smooth_labels"}
"""What stands among the losses and is none."""
PLACES = {
    "torch.nn": lambda name: name.endswith("Loss"),
    "torch.nn.functional": lambda name: "loss" in name or "entropy" in name,
    "keras.losses": lambda name: True,
    "optax.losses": lambda name: True,
}


@pytest.mark.parametrize("place", PLACES)
def test_every_loss_of_an_installed_framework_is_known(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    module = pytest.importorskip(place)
    names = [name for name in dir(module) if not name.startswith("_") and name not in BESIDE and PLACES[place](name)]
    losses = [name for name in names if callable(getattr(module, name))]
    assert len(losses) > 10
    assert [name for name in losses if family_of(name) is Family.UNKNOWN] == []
