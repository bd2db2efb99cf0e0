"""``make audit`` does not call good what nobody has looked at."""

from __future__ import annotations

import audit


def test_what_nobody_knows_anything_of_was_not_audited() -> None:
    unknown = {"name": "attrs", "skip_reason": "Dependency not found on PyPI and could not be audited: attrs (26.1.0)"}
    status, said = audit.verdict([unknown])
    assert (status, "not audited" in said[0], "pypi.org" in said[0]) == (audit.UNAVAILABLE, True, True)


def test_a_known_vulnerability_is_named_and_what_was_not_audited_too() -> None:
    bad = {"name": "old", "version": "1.0", "vulns": [{"id": "CVE-1", "fix_versions": ["1.1"]}]}
    good = {"name": "new", "version": "2.0", "vulns": []}
    unknown = {"name": "own", "skip_reason": "Dependency not found on PyPI"}
    assert audit.verdict([good]) == (0, ["1 packages audited, 0 known vulnerabilities"])
    status, said = audit.verdict([bad, good, unknown])
    assert (status, said[0]) == (1, "old 1.0: CVE-1, fixed in 1.1")
    assert said[-1].endswith("has no data on own")
