"""A proxy before a service that fails as a network does: it refuses, or loses the answer to points that were stored."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Sequence
from typing import Literal

import httpx

Fate = Literal["503", "lost"]


class LossyProxy:
    """Each request for points meets the next of the ``fates``; after them all goes well. ``seen``: headers, bodies."""

    def __init__(self, service: str, fates: Sequence[Fate] = ()) -> None:
        self.seen: list[tuple[str, dict[str, str], bytes]] = []
        left = list(fates)
        proxy = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def forward(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                headers = {name.lower(): value for name, value in self.headers.items()}
                proxy.seen.append((self.path, headers, body))
                fate = left.pop(0) if left and self.path.partition("?")[0].endswith("/points") else None
                if fate == "503":
                    self.answer(503, b'{"type": "about:blank", "status": 503, "detail": "Busy."}')
                    return
                passed = {name: headers[name] for name in ("authorization", "content-type") if name in headers}
                answer = httpx.request(self.command, service + self.path, headers=passed, content=body, timeout=60)
                if fate == "lost":
                    self.close_connection = True
                    return
                self.answer(answer.status_code, answer.content)

            do_GET = do_POST = do_PUT = forward  # noqa: N815 - so the library calls them

            def answer(self, status: int, body: bytes) -> None:
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> LossyProxy:
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
