"""A small HTTP server that behaves as badly as a test tells it to, and remembers what it was sent."""

from __future__ import annotations

import gzip
import http.server
import json
import threading
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

HEALTHY = {
    "status": "healthy",
    "action": "continue",
    "headline": "Healthy: the loss falls.",
    "findings": [],
    "notes": [],
}


class Request:
    """What the client sent."""

    def __init__(self, path: str, headers: dict[str, str], body: bytes) -> None:
        self.path = urlsplit(path).path
        self.query = {name: values[0] for name, values in parse_qs(urlsplit(path).query).items()}
        self.headers = headers
        self.size = len(body)
        self.json: Any = json.loads(gzip.decompress(body) if headers.get("content-encoding") == "gzip" else body)

    @property
    def steps(self) -> list[int]:
        """The steps of its points."""
        return [point["step"] for point in self.json.get("points", ())]


Answer = Callable[[Request, "BadService"], "tuple[int, dict[str, str], Any]"]


def well(request: Request, service: BadService) -> tuple[int, dict[str, str], Any]:
    """As a healthy service answers."""
    return 200, {}, HEALTHY


class BadService:
    """Listens on a free port of the loopback interface; ``answer`` decides over every request."""

    def __init__(self, answer: Answer = well, port: int = 0) -> None:
        self.answer = answer
        self.requests: list[Request] = []
        self.stored: list[dict[str, Any]] = []
        stub = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # else each answer waits 40 ms for an acknowledgement

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                request = Request(self.path, {name.lower(): value for name, value in self.headers.items()}, body)
                stub.requests.append(request)
                status, headers, answer = stub.answer(request, stub)
                if status == 200 and "points" in request.json:
                    stub.stored.extend(request.json["points"])
                if status == 0:  # hang up in the middle of the answer
                    self.wfile.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{")
                    self.close_connection = True
                    return
                content = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *args: object) -> None:
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128  # many runs connect at once; what finds the default queue of 5 full is reset

            def handle_error(self, request: object, client_address: object) -> None:
                pass  # clients that hang up are part of the tests

        self._server = Server(("127.0.0.1", port), Handler)
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    @property
    def steps(self) -> list[int]:
        """The steps that were answered with 200, in the order of arrival."""
        return [point["step"] for point in self.stored]

    def close(self) -> None:
        """Stops listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> BadService:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def free_port() -> int:
    """A port that nothing listens on just now."""
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def eventually(condition: Callable[[], bool], timeout: float = 60.0) -> bool:
    """Whether ``condition`` becomes true in time."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.005)
    return condition()
