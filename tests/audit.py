"""Known vulnerabilities of what is installed beside this program: pip-audit, and whether it had any data to go by.

``python tests/audit.py``. Status 0: nothing is known against any package; 1: something is; 69: the service that knows
could not be asked, or does not know the packages.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

SERVICE = "PyPI's vulnerability service (https://pypi.org/pypi/NAME/VERSION/json)"
UNAVAILABLE = 69


def verdict(found: list[dict[str, Any]]) -> tuple[int, list[str]]:
    """The status, and what to say of pip-audit's findings: dependencies with ``vulns`` or a ``skip_reason``."""
    audited = [one for one in found if "skip_reason" not in one]
    skipped = [one["name"] for one in found if "skip_reason" in one and "editable" not in one["skip_reason"]]
    if not audited:
        return UNAVAILABLE, [f"not audited: {SERVICE} has no data on any of {len(skipped)} packages here"]
    said = [
        f"{one['name']} {one['version']}: {known['id']}, fixed in {', '.join(known['fix_versions']) or '-'}"
        for one in audited
        for known in one["vulns"]
    ]
    status = 1 if said else 0
    said.append(f"{len(audited)} packages audited, {len(said)} known vulnerabilities")
    if skipped:
        said.append(f"not audited: {SERVICE} has no data on {', '.join(skipped)}")
    return status, said


def main() -> int:
    """Run pip-audit and say what it found."""
    ran = subprocess.run(
        [sys.executable, "-m", "pip_audit", "--skip-editable", "--format", "json", "--progress-spinner", "off"],
        capture_output=True,
        text=True,
    )
    try:
        status, said = verdict(json.loads(ran.stdout)["dependencies"])
    except (ValueError, KeyError):
        why = (ran.stderr.strip().splitlines() or ["no answer"])[-1]
        status, said = UNAVAILABLE, [f"not audited: {SERVICE} cannot be asked from here: {why:.160}"]
    sys.stdout.write("\n".join(said) + "\n")
    return status


if __name__ == "__main__":
    sys.exit(main())
