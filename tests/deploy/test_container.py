"""The Containerfile without a container engine: linted, and its steps replayed in a plain folder."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from deploy import containerfile
from deploy.process import line_with_address

ROOT = Path(__file__).parents[2]
CONTAINERFILE = ROOT / "deploy" / "Containerfile"
BIN = Path(sys.executable).parent
ORDINARY = 65534


@pytest.fixture(scope="module")
def stages() -> list[containerfile.Stage]:
    return containerfile.read(CONTAINERFILE)


@pytest.fixture
def folder() -> Iterator[Path]:
    """Where others than its owner may pass: pytest's own are closed."""
    with tempfile.TemporaryDirectory(prefix="losswatch-container-") as made:
        Path(made).chmod(0o755)
        yield Path(made)


def test_hadolint_finds_nothing_in_the_containerfile():
    run = subprocess.run([BIN / "hadolint", CONTAINERFILE], capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stdout + run.stderr


def test_the_image_runs_as_a_numbered_user_who_is_not_root(stages):
    user, _, group = stages[-1].of("USER")[-1].partition(":")
    assert int(user) > 0
    assert int(group) > 0


def test_the_last_stage_takes_nothing_from_the_build_folder(stages):
    assert [rest for rest in stages[-1].of("COPY") if not rest.startswith("--from=")] == []


def test_no_file_of_deploy_carries_a_secret_or_an_environment_to_put_one():
    for path in (ROOT / "deploy").rglob("*"):
        if path.is_dir():
            continue
        text = path.read_text()
        assert not re.search(r"(?i)^\s*(ENV|ARG)\s.*(secret|token|passw|key)", text, re.MULTILINE), path.name
        for name in re.findall(r"(?m)^\s*-?\s*(\w*(?:SECRET|TOKEN|PASSW|KEY)\w*)[:=]", text):
            assert name.endswith("_FILE") or path.suffix not in (".yaml", ".yml"), (path.name, name)


def test_the_build_may_see_only_what_it_copies(stages):
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = {name.removeprefix("./") for rest in stages[0].of("COPY") for name in rest.split()[:-1]}
    assert copied == allowed


@pytest.mark.slow
def test_the_steps_of_the_containerfile_give_a_service_that_answers_and_stops(stages, folder):
    """Every COPY and RUN of the build stage, then ENTRYPOINT, CMD and HEALTHCHECK, with the paths moved to a folder, by
    a user who is not root and may write nowhere else."""
    ordinary = an_ordinary_user()

    def moved(text: str) -> str:
        return re.sub(r"(?<![\w./])/(src|wheels|opt|data)\b", lambda m: f"{folder}/{m[1]}", text)

    work = Path(moved(stages[0].of("WORKDIR")[0]))
    work.mkdir()
    environment = {
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "HOME": str(folder / "home"),
        "OMP_NUM_THREADS": "1",
        "PIP_NO_COMPILE": "1",
    }
    environment |= {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    environment["PIP_CACHE_DIR"] = pip_cache()
    for rest in stages[0].of("COPY"):
        *sources, target = rest.split()
        for source in sources:
            copy(ROOT / source, work / target)
    if ordinary:
        for path in (folder, *folder.rglob("*")):
            os.chown(path, ORDINARY, ORDINARY)
    for rest in stages[0].of("RUN"):
        command = [*ordinary, "/bin/sh", "-c", moved(rest).replace("--no-cache-dir ", "")]
        run = subprocess.run(command, cwd=work, env=environment, capture_output=True, text=True, timeout=280)
        assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-3000:]

    for rest in stages[-1].of("ENV"):
        environment |= dict(moved(setting).split("=", 1) for setting in rest.split())
    service = [moved(word) for word in stages[-1].command("ENTRYPOINT") + stages[-1].command("CMD")]
    service[service.index("--port") + 1] = "0"
    service[service.index("--host") + 1] = "127.0.0.1"
    with subprocess.Popen(
        [*ordinary, *service], cwd=folder, env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            address = line_with_address(process)
            check = [
                moved(word).replace("http://127.0.0.1:8000", address) for word in stages[-1].command("HEALTHCHECK")
            ]
            assert any(address in word for word in check)
            assert subprocess.run(check, timeout=30, env=environment).returncode == 0
            with urllib.request.urlopen(f"{address}/v1/conditions/diverging", timeout=30) as page:
                assert page.status == 200, "the wheel lacks the catalogue's pages"
            process.send_signal(getattr(signal, stages[-1].of("STOPSIGNAL")[0]))
            assert process.wait(timeout=30) == 0
        finally:
            process.kill()
    kept = list((folder / "data").iterdir())
    assert kept
    if ordinary:
        assert {path.stat().st_uid for path in kept} == {ORDINARY}


def an_ordinary_user() -> list[str]:
    """What goes before a command to run it as somebody who is not root; nothing where the tests are not root's. This
    environment may lie where others cannot look, so that user may read everything."""
    if os.geteuid() != 0:
        return []
    reads = ["--inh-caps=-all,+dac_read_search", "--ambient-caps=+dac_read_search"]
    prefix = ["setpriv", f"--reuid={ORDINARY}", f"--regid={ORDINARY}", "--clear-groups", *reads]
    try:
        found = subprocess.run([*prefix, sys.executable, "-c", ""], capture_output=True, text=True, timeout=60)
    except FileNotFoundError:
        pytest.skip("setpriv is not installed")
    if found.returncode != 0:
        pytest.skip(f"no other user can run this environment: {found.stderr[-200:]}")
    return prefix


def pip_cache() -> str:
    """Where this environment's pip keeps what it has downloaded: the replay need not fetch it again."""
    answer = subprocess.run([sys.executable, "-m", "pip", "cache", "dir"], capture_output=True, text=True, timeout=60)
    return answer.stdout.strip()


def copy(source: Path, target: Path) -> None:
    """What COPY does: a folder's contents become the target's, a file goes into it; compiled files stay behind."""
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(source, target)


def test_the_compose_file_is_strict_yaml():
    run = subprocess.run(
        [BIN / "yamllint", "--strict", ROOT / "deploy" / "compose.yaml"], capture_output=True, text=True, timeout=60
    )
    assert run.returncode == 0, run.stdout


def test_the_compose_service_is_locked_down_and_listens_on_loopback_alone(stages):
    compose = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())
    assert set(compose) == {"name", "services", "volumes"}
    service = compose["services"]["losswatch"]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    assert (ROOT / "deploy" / service["build"]["context"] / service["build"]["dockerfile"]).resolve() == CONTAINERFILE
    volumes = dict(volume.split(":") for volume in service["volumes"])
    assert set(volumes) == set(compose["volumes"])
    assert list(volumes.values()) == stages[-1].command("VOLUME")
    assert service["ports"][0].endswith(":" + stages[-1].of("EXPOSE")[0])
