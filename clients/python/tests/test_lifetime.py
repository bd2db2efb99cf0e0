"""A Run that nobody ends: it goes out of scope, its process forks, spawns or ends. All of it arrives, and its end."""

from __future__ import annotations

import gc
import os
import pickle
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from typing import Any

import pytest
from service_stub import BadService, eventually, free_port

import losswatch
from losswatch import lifetime

pytestmark = pytest.mark.slow
STEPS = 300
HEAD = """
import losswatch

def train(name="a", steps=range({steps})):
    run = losswatch.Run(name, url="{url}", quiet=True)
    for step in steps:
        run.log(step, loss=1.0)
"""

ENDINGS = {
    "a function": ("train()", "finished"),
    "a method of an object that is left alone": (
        """
        class Trainer:
            def __init__(self):
                self.run, self.me = losswatch.Run("a", url="{url}"), self
                for step in range({steps}):
                    self.run.log(step, loss=1.0)
        Trainer()
        """,
        "finished",
    ),
    "a thread": (
        """
        import threading
        thread = threading.Thread(target=train)
        thread.start()
        """,
        "finished",
    ),
    "cells of a notebook": (
        """
        import code
        cells = code.InteractiveInterpreter(dict(globals()))
        cells.runcode(compile("run = losswatch.Run('a', url='{url}')", "cell", "exec"))
        cells.runcode(compile("for step in range({steps}): run.log(step, loss=1.0)", "cell", "exec"))
        cells.runcode(compile("del run", "cell", "exec"))
        """,
        "finished",
    ),
    "a function that raises": (
        """
        def broken():
            run = losswatch.Run("a", url="{url}", quiet=True)
            for step in range({steps}):
                run.log(step, loss=1.0)
            raise ValueError
        broken()
        """,
        "failed",
    ),
    "sys.exit in a with block": (
        """
        import sys
        with losswatch.Run("a", url="{url}", quiet=True) as run:
            for step in range({steps}):
                run.log(step, loss=1.0)
            sys.exit(3)
        """,
        "failed",
    ),
    "a handler of SIGTERM that exits": (
        """
        import os, signal, sys
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        with losswatch.Run("a", url="{url}", quiet=True) as run:
            for step in range({steps}):
                run.log(step, loss=1.0)
            os.kill(os.getpid(), signal.SIGTERM)
            signal.pause()
        """,
        "cancelled",
    ),
}


def script(tmp_path: Path, body: str, url: str) -> list[str]:
    """A command that runs ``body`` after `HEAD` as the main module, as worker processes can import it."""
    path = tmp_path / "training.py"
    path.write_text((HEAD + textwrap.dedent(body)).replace("{url}", url).replace("{steps}", str(STEPS)))
    return [sys.executable, "-W", "ignore", str(path)]


def states(service: BadService) -> list[Any]:
    return [request.json["state"] for request in service.requests if request.path.endswith("/finish")]


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_run_that_nobody_ends_is_delivered_and_ends_as_its_process_does(ending: str, tmp_path: Path) -> None:
    body, state = ENDINGS[ending]
    with BadService() as service:
        subprocess.run(script(tmp_path, body, service.url), stderr=subprocess.DEVNULL, timeout=60)
        assert service.steps == list(range(STEPS))
        assert states(service) == [state]


WORKERS = {
    "a process": """
        import multiprocessing
        if __name__ == "__main__":
            worker = multiprocessing.get_context("{method}").Process(target=train)
            worker.start()
            worker.join()
        """,
    "a process whose Run is global": """
        import multiprocessing
        def work():
            global run
            run = losswatch.Run("a", url="{url}", quiet=True)
            for step in range({steps}):
                run.log(step, loss=1.0)
        if __name__ == "__main__":
            worker = multiprocessing.get_context("{method}").Process(target=work)
            worker.start()
            worker.join()
        """,
    "a pool that is terminated as soon as its results are there": """
        import multiprocessing
        if __name__ == "__main__":
            with multiprocessing.get_context("{method}").Pool(2) as pool:
                pool.starmap(train, [("a",)])
        """,
    "an executor": """
        import concurrent.futures, multiprocessing
        if __name__ == "__main__":
            context = multiprocessing.get_context("{method}")
            with concurrent.futures.ProcessPoolExecutor(1, context) as executor:
                executor.submit(train).result()
        """,
}


@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.parametrize("worker", WORKERS)
def test_a_run_of_a_worker_process_is_delivered_and_ends(worker: str, method: str, tmp_path: Path) -> None:
    with BadService() as service:
        body = WORKERS[worker].replace("{method}", method)
        subprocess.run(script(tmp_path, body, service.url), check=True, timeout=60)
        assert service.steps == list(range(STEPS))
        assert states(service) == ["finished"]


def test_a_worker_that_raises_ends_its_run_as_failed(tmp_path: Path) -> None:
    body = """
        import multiprocessing
        def broken():
            global run
            run = losswatch.Run("a", url="{url}", quiet=True)
            run.log(1, loss=1.0)
            raise ValueError
        if __name__ == "__main__":
            worker = multiprocessing.get_context("fork").Process(target=broken)
            worker.start()
            worker.join()
    """
    with BadService() as service:
        subprocess.run(script(tmp_path, body, service.url), check=True, timeout=60, stderr=subprocess.DEVNULL)
        assert states(service) == ["failed"]


SHARED = {
    "fork of multiprocessing": """
        import multiprocessing
        def work(run):
            for step in range({steps}, 2 * {steps}):
                run.log(step, loss=1.0)
        if __name__ == "__main__":
            run = losswatch.Run("a", url="{url}", quiet=True)
            for step in range({steps}):
                run.log(step, loss=1.0)
            worker = multiprocessing.get_context("{method}").Process(target=work, args=(run,))
            worker.start()
            worker.join()
        """,
    "os.fork": """
        import os, sys
        run = losswatch.Run("a", url="{url}", quiet=True)
        for step in range({steps}):
            run.log(step, loss=1.0)
        child = os.fork()
        if child == 0:
            for step in range({steps}, 2 * {steps}):
                run.log(loss=1.0)
            sys.exit(0)
        os.waitpid(child, 0)
        """,
}


@pytest.mark.parametrize(
    ("how", "method"),
    [("fork of multiprocessing", "fork"), ("fork of multiprocessing", "spawn"), ("os.fork", "fork")],
)
def test_parent_and_child_both_report_a_run_that_was_there_before_the_fork(
    how: str, method: str, tmp_path: Path
) -> None:
    """Each under a writer of its own, nothing twice; the end is the parent's to tell."""
    with BadService() as service:
        body = SHARED[how].replace("{method}", method)
        subprocess.run(script(tmp_path, body, service.url), check=True, timeout=60)
        by_writer: dict[str, list[int]] = {}
        for request in service.requests:
            if request.steps:
                by_writer.setdefault(request.json["writer"], []).extend(request.steps)
        assert sorted(by_writer.values()) == [list(range(STEPS)), list(range(STEPS, 2 * STEPS))]
        assert states(service) == ["finished"]


@pytest.mark.parametrize(
    ("how", "method"),
    [("fork of multiprocessing", "fork"), ("fork of multiprocessing", "spawn"), ("os.fork", "fork")],
)
def test_what_was_logged_before_a_child_began_is_delivered_before_what_the_child_logs(
    how: str, method: str, tmp_path: Path
) -> None:
    """Else it would look like a step back. The parent alone would deliver a minute later."""
    body = SHARED[how].replace("{method}", method).replace("quiet=True", "quiet=True, flush_interval=60")
    with BadService() as service:
        subprocess.run(script(tmp_path, body, service.url), check=True, timeout=60)
        assert service.steps == list(range(2 * STEPS))
        writers = list(dict.fromkeys(r.json["writer"] for r in service.requests if r.steps))
        assert len(writers) == 2
        assert writers[1].startswith(writers[0] + "~")


def test_a_child_whose_parent_is_gone_or_stuck_delivers_by_itself(tmp_path: Path) -> None:
    body = """
        import os, signal, sys
        run = losswatch.Run("a", url="{url}", quiet=True, flush_interval=60)
        run._sender._make_transport = None
        run._sender._turn = lambda is_closing: None  # this process delivers nothing
        run.log(0, loss=1.0)
        child = os.fork()
        if child == 0:
            run.log(1, loss=1.0)
            {ends}
            sys.exit(0)
        {waits}
    """
    for ends, waits in (("pass", "os.waitpid(child, 0)"), ("pass", "os.kill(os.getpid(), 9)")):
        with BadService() as service:
            text = body.replace("{ends}", ends).replace("{waits}", waits)
            subprocess.run(script(tmp_path, text, service.url), check=False, timeout=60)
            eventually(lambda service=service: service.steps == [1], 30)


def test_a_copy_from_a_checkpoint_is_no_child_of_the_run_that_wrote_it() -> None:
    with BadService() as service:
        run = losswatch.Run("a", url=service.url, quiet=True)
        copy = pickle.loads(pickle.dumps(run))
        assert "~" not in copy.writer
        run.finish()


def test_a_child_does_not_hold_the_spool_of_its_parent(tmp_path: Path) -> None:
    body = """
        import os, signal
        run = losswatch.Run("a", url="{url}", quiet=True, flush_interval=0.01)
        run.log(0, loss=1.0)
        run.flush(0.1)
        while not os.path.isdir(os.environ["LOSSWATCH_SPOOL_DIR"]):
            pass
        child = os.fork()
        if child == 0:
            os.close(1)
            os.close(2)
            signal.pause()
        print(child, flush=True)
        run.finish(timeout=0.1)
    """
    port = free_port()
    parent = subprocess.run(
        script(tmp_path, body, f"http://127.0.0.1:{port}"), check=True, timeout=60, capture_output=True, text=True
    )
    try:
        with BadService(port=port) as service:
            command = [sys.executable, "-m", "losswatch"]
            done = subprocess.run(command, capture_output=True, text=True, timeout=60)
            assert "1 of 1 spooled runs delivered" in done.stdout
            assert service.steps == [0]
    finally:
        os.kill(int(parent.stdout), 9)


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - a count of what is open, the folder itself included


def senders(since: set[threading.Thread]) -> list[threading.Thread]:
    """Those that were started since then: what another test's Run still tries to deliver is its own business."""
    return [t for t in threading.enumerate() if t.name.startswith("losswatch") and t not in since]


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="counts open descriptors under /proc")
def test_thirty_runs_that_went_out_of_scope_leave_no_thread_and_no_connection_behind() -> None:
    def train(name: str) -> None:
        run = losswatch.Run(name, url=service.url, quiet=True)
        for step in range(20):
            run.log(step, loss=1.0)

    others, held = set(threading.enumerate()), set(lifetime._open)
    with BadService() as service:
        train("first")
        assert eventually(lambda: not senders(others), 60.0)
        before = descriptors()
        for place in range(30):
            train(f"run-{place}")
        assert eventually(lambda: not senders(others) and lifetime._open <= held, 60.0)
        assert len(service.stored) == 31 * 20
        assert states(service) == ["finished"] * 31
        assert eventually(lambda: descriptors() <= before)


def test_the_garbage_collector_may_end_a_run_from_inside_its_own_sender() -> None:
    collected = threading.Event()

    class Collects:
        """A value whose reading, in the sender thread, collects the cycle that the Run is part of."""

        def item(self) -> float:
            gc.collect()
            collected.set()
            return 0.5

    def train() -> None:
        cycle: dict[str, Any] = {"run": losswatch.Run("a", url=service.url, quiet=True, flush_interval=0.01)}
        cycle["self"] = cycle
        for step in range(5):
            cycle["run"].log(step, loss=Collects())

    with BadService() as service:
        gc.disable()
        try:
            train()
            assert collected.wait(60)
        finally:
            gc.enable()
        assert eventually(lambda: states(service) == ["finished"])
        assert service.steps == list(range(5))


def test_an_older_run_of_the_same_name_does_not_end_the_newer_one() -> None:
    """As in a notebook, where a cell that makes the Run is executed again."""
    with BadService() as service:
        run = losswatch.Run("a", url=service.url, quiet=True)
        run.log(1, loss=1.0)
        older = run._sender
        run = losswatch.Run("a", url=service.url, quiet=True)
        assert older is not None
        assert older.wait(60)
        assert states(service) == []
        run.log(2, loss=1.0)
        run.finish()
        assert sorted(service.steps) == [1, 2]
        assert states(service) == ["finished"]


def test_a_process_that_is_terminated_leaves_what_it_could_not_deliver(tmp_path: Path) -> None:
    """No handler of ours: the signal ends the process at once, the spool stays."""
    body = """
        import os, signal
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        run = losswatch.Run("a", url="{url}", quiet=True, flush_interval=0.01)
        for step in range({steps}):
            run.log(step, loss=1.0)
        while run._queue or not run._sender._spool or run._sender._waiting:
            pass
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        os.kill(os.getpid(), signal.SIGTERM)
        signal.pause()
    """
    port = free_port()
    done = subprocess.run(script(tmp_path, body, f"http://127.0.0.1:{port}"), timeout=60, stderr=subprocess.DEVNULL)
    assert done.returncode == -15
    with BadService(port=port) as service:
        subprocess.run([sys.executable, "-m", "losswatch"], check=True, capture_output=True, timeout=60)
        assert service.steps == list(range(STEPS))
