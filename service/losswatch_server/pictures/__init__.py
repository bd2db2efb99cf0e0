"""Pictures of runs for messages and READMEs: a chart and a badge, as SVG and as PNG. Pure.

``of_run`` takes what a picture shows from a report and its points, ``chart`` and ``badge`` lay it out as a ``scene`` of
a few shapes, and ``svg`` and ``png`` write a scene.
"""
