"""One running service for all examples of the documentation."""

from __future__ import annotations

import pytest

from docs.service import running_service


@pytest.fixture(scope="session")
def address(tmp_path_factory):
    with running_service(tmp_path_factory.mktemp("service") / "data") as found:
        yield found
