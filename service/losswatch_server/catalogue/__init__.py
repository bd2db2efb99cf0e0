"""The catalogue: one page for every condition and every cause, served by the API and linked from every finding.

Pages are package data (``conditions/<name>.md``, ``causes/<name>.md``). What they say of a rule's parameters is read
from the detectors, and their figures come from ``figures.json``, which the detection benchmark's results fill; a
figure that has not been measured says so.
May import ``losswatch_server.monitor`` and nothing else of ours.
"""

from losswatch_server.catalogue.pages import Page, causes, conditions, page

__all__ = ["Page", "causes", "conditions", "page"]
