"""The disk takes no more: nothing is lost that is said to be kept, what is lost is counted, and it heals."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from service_stub import BadService, free_port

from losswatch.batches import Record, parse
from losswatch.spool import Address, FileSpool, MemorySpool

ADDRESS = Address("http://x", None, "a", "w")


def record(step: int, padding: int = 0) -> Record:
    return parse(json.dumps({"step": step, "loss": 1.0, "time": "x" * padding}).encode())


SPOOLING = """
    import json, pathlib, random, resource, signal, sys
    from losswatch.batches import parse
    from losswatch.spool import Address, FileSpool

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4000, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
    chance, refused = random.Random(0), 0
    for turn in range(200):
        path = pathlib.Path(sys.argv[1], f"{turn}.jsonl")
        spool, taken = FileSpool(path, Address("http://x", None, "a", "w")), []
        for number in range(chance.randint(1, 12)):
            steps = range(100 * number, 100 * number + chance.randint(1, 4))
            points = [{"step": step, "loss": 1.0, "time": "x" * chance.randint(0, 900)} for step in steps]
            records = [parse(json.dumps(point).encode()) for point in points]
            try:
                spool.append(records)
                taken.extend(item.step for item in records)
            except OSError:
                refused += 1
                assert path.stat().st_size + sum(len(item.line) + 1 for item in records) > 4000
            assert path.read_bytes().endswith(b"}\\n")
            assert [item.step for item in spool.peek(1000)] == taken
        spool.let_go()
        again = FileSpool(path)
        assert [item.step for item in again.peek(1000)] == taken
        again.let_go()
    assert refused > 100
"""


def test_a_spool_on_a_full_disk_holds_exactly_what_it_took(tmp_path: Path) -> None:
    """No file of the process may be longer than 4,000 bytes: what is beyond is refused as a full disk refuses it."""
    command = [sys.executable, "-c", textwrap.dedent(SPOOLING), str(tmp_path)]
    tried = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert tried.returncode == 0, tried.stderr


@given(st.lists(st.tuples(st.integers(1, 40), st.integers(0, 30)), min_size=1, max_size=40), st.integers(1500, 6000))
def test_a_spool_at_its_limit_drops_the_oldest_alone_and_counts_them(
    tmp_path_factory: pytest.TempPathFactory, turns: list[tuple[int, int]], limit: int
) -> None:
    """Whatever is put in and taken out: what it holds are the newest, in order, and the rest was taken or counted."""
    path = tmp_path_factory.mktemp("spool") / "a.jsonl"
    spool = FileSpool(path, ADDRESS, limit)
    step = taken = 0
    for put, out in turns:
        spool.append([record(step + place) for place in range(put)])
        step += put
        records = spool.peek(out) if out else []
        spool.advance(len(records))
        taken += len(records)
        held = [item.step for item in spool.peek(10_000)]
        assert held == list(range(step - len(held), step))
        assert taken + spool.dropped + len(held) == step
        assert path.stat().st_size <= max(limit, 41 * 60)
    spool.let_go()


def test_memory_is_bounded_by_bytes_and_counts_what_gives_way() -> None:
    memory = MemorySpool(limit=100_000)
    memory.append([record(step, padding=5000) for step in range(100)])
    held = [item.step for item in memory.peek(100)]
    assert 10 < len(held) < 20
    assert held[-1] == 99
    assert memory.dropped == 100 - len(held)


TRAINING = """
    import os, resource, signal, sys
    import losswatch, losswatch.spool

    def may_write(size):
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    memory = int(sys.argv[2])
    losswatch.spool.MemorySpool.__init__.__defaults__ = (memory,)
    may_write(20_000)
    run = losswatch.Run("a", url=sys.argv[1], quiet=True, flush_interval=0.01)
    for step in range(3000):
        run.log(step, loss=1.0)
    print("away", run.flush(2.0), flush=True)
    sys.stdin.readline()
    if memory > 1_000_000:
        may_write(resource.RLIM_INFINITY)
    for step in range(3000, 4000):
        run.log(step, loss=1.0)
    print("back", run.flush(60), run.dropped, flush=True)
    run.finish()
"""


@pytest.mark.slow
@pytest.mark.parametrize("memory", [64 * 2**20, 200_000], ids=["memory takes what the disk does not", "no room at all"])
def test_a_full_disk_loses_nothing_that_it_does_not_count(memory: int, tmp_path: Path) -> None:
    port = free_port()
    command = [sys.executable, "-c", textwrap.dedent(TRAINING), f"http://127.0.0.1:{port}", str(memory)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as training:
        assert training.stdin is not None
        assert training.stdout is not None
        assert training.stdout.readline() == "away False\n"
        with BadService(port=port) as service:
            out, errors = training.communicate("go on\n", timeout=60)
            _, flushed, dropped = out.split()
            stored = len(set(service.steps))
    assert service.steps == sorted(service.steps)
    assert stored + int(dropped) == 4000
    assert flushed == str(int(dropped) == 0)
    assert (stored == 4000) == (memory > 1_000_000)
    assert errors.count("cannot keep points on disk") == 1
    assert errors.count("the oldest are dropped") == (int(dropped) > 0)
    assert len(errors.splitlines()) <= 5
