"""The documentation: markdown that GitHub shows as files and the service as pages under ``/docs``.

``README.md`` is the contents and gives the order of the pages. Settings, endpoints, problems and figures are
written into the pages by ``make docs``; the tests run every example.
May import ``losswatch_server.catalogue`` for the markdown, and nothing else of ours.
"""

from losswatch_server.docs.pages import CONTENTS, DocumentationPage, contents, llms, page

__all__ = ["CONTENTS", "DocumentationPage", "contents", "llms", "page"]
