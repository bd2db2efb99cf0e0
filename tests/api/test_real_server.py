"""Bodies that are too large, too slow or cut off, against a real server on a real socket."""

from __future__ import annotations

import gzip
import http.client
import json
import socket
import threading
from collections.abc import Iterator

import httpx
import pytest

MIB = 1 << 20
Address = tuple[str, int]


@pytest.fixture
def client(address: Address) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"http://{address[0]}:{address[1]}", timeout=60, trust_env=False) as client:
        yield client


def is_too_large(answer: httpx.Response) -> bool:
    problem = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    return answer.status_code == problem["status"] == 413 and problem["type"] == "/docs/problems#too-large"


@pytest.mark.slow
def test_a_body_of_50_mb_is_413_whether_declared_or_chunked(client: httpx.Client) -> None:
    big = b'{"points":[' + b" " * (50 * MIB) + b"]}"
    assert is_too_large(client.post("/v1/runs/big/points", content=big))
    assert is_too_large(client.post("/v1/runs/big/points", content=(big[i : i + MIB] for i in range(0, len(big), MIB))))
    assert client.get("/v1/runs/big").status_code == 404
    assert client.get("/livez").status_code == 200


@pytest.mark.slow
def test_a_gzip_bomb_is_413_and_costs_no_memory(client: httpx.Client) -> None:
    bomb = gzip.compress(bytes(512 * MIB), 9)
    assert len(bomb) < MIB
    for path in ("/v1/runs/bomb/points", "/v1/diagnose"):
        assert is_too_large(client.post(path, content=bomb, headers={"Content-Encoding": "gzip"}))


def test_the_largest_body_that_fits_is_taken(client: httpx.Client) -> None:
    points = b'{"points":[{"step":1,"loss":0.5}]'
    body = points + b" " * (16 * MIB - len(points) - 1) + b"}"
    assert client.post("/v1/runs/fits/points", content=body).status_code == 200
    assert is_too_large(client.post("/v1/runs/fits/points", content=body + b" "))


def test_small_endpoints_take_small_bodies(client: httpx.Client) -> None:
    client.put("/v1/runs/small")
    assert is_too_large(client.post("/v1/runs/small/finish", content=b" " * (2 * MIB)))


def test_a_connection_is_used_again_after_a_refusal(address: Address) -> None:
    connection = http.client.HTTPConnection(*address, timeout=30)
    for _ in range(2):
        connection.request("POST", "/v1/runs/again/points", b"x" * (17 * MIB))
        answer = connection.getresponse()
        assert answer.status == 413
        assert json.loads(answer.read())["status"] == 413
    connection.request("POST", "/v1/runs/again/points", b'{"step": 1}')
    assert connection.getresponse().status == 200
    connection.close()


def test_a_body_that_is_cut_off_stores_nothing(address: Address, client: httpx.Client) -> None:
    with socket.create_connection(address) as cut:
        cut.sendall(b"POST /v1/runs/cut/points HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n")
        cut.sendall(b'{"step": 1, "loss": 0.5}')
    assert client.get("/livez").status_code == 200
    assert client.get("/v1/runs/cut").status_code == 404


def test_what_curl_sends_by_default_is_taken(address: Address) -> None:
    connection = http.client.HTTPConnection(*address, timeout=30)
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "*/*", "User-Agent": "curl/8.5.0"}
    connection.request("POST", "/v1/runs/curled/points", b'{"step": 1, "loss": NaN}', headers)
    answer = connection.getresponse()
    assert answer.status == 200
    assert json.loads(answer.read(), parse_constant=pytest.fail)["findings"]
    connection.close()


def test_a_run_of_many_writers_at_once_loses_no_point(address: Address) -> None:
    def write(first: int) -> None:
        with httpx.Client(base_url=f"http://{address[0]}:{address[1]}", timeout=60, trust_env=False) as client:
            for step in range(first, 200, 4):
                answer = client.post("/v1/runs/many/points", json={"step": step, "metrics": {"x": step}})
                assert answer.status_code == 200

    threads = [threading.Thread(target=write, args=(first,)) for first in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with httpx.Client(base_url=f"http://{address[0]}:{address[1]}", trust_env=False) as client:
        points = client.get("/v1/runs/many/points").json()["points"]
    assert sorted(point["step"] for point in points) == list(range(200))
