"""The families that anybody may look at: rules and causes are designed and fitted on them."""

from benchmarks.detection.develop_half.boosting import Boosted
from benchmarks.detection.develop_half.games import runs as games
from benchmarks.detection.develop_half.manifold import Manifold, Variational
from benchmarks.detection.develop_half.signals import Memory, Ratings, Signals
from benchmarks.detection.develop_half.slow_starts import Clicks, Opinions, Outcomes, Staircase, Sums
from benchmarks.detection.develop_half.tables import Counts, HeavyTails, LongFit, Margins, SeveralTerms
from benchmarks.detection.develop_half.tuned import Adapters, Dialect, NewHead, Preferences
from benchmarks.detection.develop_half.words import Words, WordsTuned

PROGRAMS = (
    Signals,
    Memory,
    Ratings,
    Words,
    WordsTuned,
    HeavyTails,
    Counts,
    Margins,
    SeveralTerms,
    LongFit,
    Manifold,
    Variational,
    Boosted,
    Adapters,
    Dialect,
    NewHead,
    Preferences,
    Staircase,
    Sums,
    Clicks,
    Outcomes,
    Opinions,
)
__all__ = ["PROGRAMS", "games"]
