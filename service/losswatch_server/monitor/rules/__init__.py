"""The registry: one detector per rule, in the order in which they are asked."""

from __future__ import annotations

from losswatch_server.monitor.rules.base import Detector
from losswatch_server.monitor.rules.diverging import Diverging
from losswatch_server.monitor.rules.exploding_gradient import ExplodingGradient
from losswatch_server.monitor.rules.flat import Converged, NotLearning, Plateau, SlowConvergence
from losswatch_server.monitor.rules.loss_spike import LossSpike
from losswatch_server.monitor.rules.non_finite import NonFiniteGradient, NonFiniteLoss, NonFiniteValidation
from losswatch_server.monitor.rules.oscillation import Oscillation
from losswatch_server.monitor.rules.overfitting import Overfitting
from losswatch_server.monitor.rules.vanishing_gradient import VanishingGradient

DETECTORS: tuple[Detector, ...] = (
    NonFiniteLoss(),
    NonFiniteGradient(),
    NonFiniteValidation(),
    Diverging(),
    LossSpike(),
    ExplodingGradient(),
    VanishingGradient(),
    NotLearning(),
    Plateau(),
    SlowConvergence(),
    Oscillation(),
    Overfitting(),
    Converged(),
)
