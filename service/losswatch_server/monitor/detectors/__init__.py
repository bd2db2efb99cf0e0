"""The registry: one detector per rule, in the order in which they are asked."""

from __future__ import annotations

from losswatch_server.monitor.detectors.base import Detector
from losswatch_server.monitor.detectors.diverging import Diverging
from losswatch_server.monitor.detectors.exploding_gradient import ExplodingGradient
from losswatch_server.monitor.detectors.loss_spike import LossSpike
from losswatch_server.monitor.detectors.non_finite import NonFiniteGradient, NonFiniteLoss
from losswatch_server.monitor.detectors.not_learning import NotLearning
from losswatch_server.monitor.detectors.oscillation import Oscillation
from losswatch_server.monitor.detectors.overfitting import Overfitting
from losswatch_server.monitor.detectors.plateau import Converged, Plateau
from losswatch_server.monitor.detectors.slow_convergence import SlowConvergence
from losswatch_server.monitor.detectors.vanishing_gradient import VanishingGradient

DETECTORS: tuple[Detector, ...] = (
    NonFiniteLoss(),
    NonFiniteGradient(),
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
