"""The families kept for measuring: nobody designs or fits a rule on them, and each look at them is written down."""

from benchmarks.detection.test_half.boosting import BoostedClasses
from benchmarks.detection.test_half.densities import (
    Denoising,
    Distilled,
    Graph,
    Lifetimes,
    Mixture,
    Physics,
    Quantiles,
)
from benchmarks.detection.test_half.games import runs as games
from benchmarks.detection.test_half.sequences import Lookup, LowRank, Parity, SkipGrams, Strings
from benchmarks.detection.test_half.vision import Textures, Triplets, Views

PROGRAMS = (
    Textures,
    Views,
    Triplets,
    Lookup,
    Strings,
    SkipGrams,
    LowRank,
    Parity,
    Quantiles,
    Lifetimes,
    Mixture,
    Denoising,
    Distilled,
    Graph,
    Physics,
    BoostedClasses,
)
__all__ = ["PROGRAMS", "games"]
