"""The systemd unit, verified and scored by systemd itself where it is installed."""

from __future__ import annotations

import configparser
import shutil
import subprocess
from pathlib import Path

import pytest

UNIT = Path(__file__).parents[2] / "deploy" / "losswatch.service"

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed (Debian: apt-get install systemd)"
)


@pytest.fixture
def unit_here(tmp_path):
    """The unit with a program that exists on this machine, else verify stops at the missing one."""
    path = tmp_path / UNIT.name
    path.write_text(UNIT.read_text().replace("/opt/losswatch/bin/losswatch-server", "/usr/bin/true"))
    return path


@needs_systemd
def test_systemd_takes_the_unit_without_a_complaint(unit_here):
    run = subprocess.run(["systemd-analyze", "verify", unit_here], capture_output=True, text=True, timeout=60)
    assert (run.returncode, run.stdout + run.stderr) == (0, "")


@needs_systemd
def test_systemd_rates_the_exposure_below_one_and_a_half_of_ten(unit_here):
    run = subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", "--threshold=15", unit_here],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert run.returncode == 0, run.stdout[-500:] + run.stderr


def test_the_unit_writes_only_to_its_state_directory_and_listens_on_loopback():
    unit = configparser.ConfigParser(strict=False, interpolation=None, comment_prefixes=("#",))
    unit.optionxform = str
    unit.read(UNIT)
    service = unit["Service"]
    words = service["ExecStart"].split()
    assert "--data" not in words, "LOSSWATCH_DATABASE is enough to use PostgreSQL instead"
    assert words[words.index("--host") + 1] == "127.0.0.1"
    assert service["DynamicUser"] == "yes"
    assert service["ProtectSystem"] == "strict"
