"""How much the property tests try, for both test folders: a profile says it, a test says it only where one try is dear.

``suite`` tries the same hundred examples everywhere, ``fast`` a few of them, ``soak`` thousands of new ones each time.
"""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("suite", max_examples=100, deadline=None, derandomize=True, database=None)
settings.register_profile("fast", parent=settings.get_profile("suite"), max_examples=20)
settings.register_profile("soak", max_examples=3200, deadline=None)
settings.load_profile("suite")
