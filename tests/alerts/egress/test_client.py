"""The one door to other hosts: which addresses it opens to, and what evil receivers can do to it."""

from __future__ import annotations

import asyncio
import resource
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from losswatch_server.alerts.egress.addresses import TargetRefusedError, is_allowed, read_url
from losswatch_server.alerts.egress.client import MAX_ANSWER_BYTES, Answer, EgressClient, UnreachableError

PUBLIC = ["1.1.1.1", "93.184.215.14", "2606:4700::1111", "2002:0101:0101::1", "64:ff9b::101:101", "::ffff:1.1.1.1"]
PRIVATE = ["127.0.0.1", "127.8.8.8", "10.0.0.1", "172.16.5.4", "192.168.1.1", "::1", "fd00::1", "::ffff:10.0.0.1",
           "64:ff9b::a00:1", "2002:7f00:1::1", "100.64.0.1", "198.18.0.1", "192.0.2.1", "64:ff9b:1::1",
           "2001:db8::1", "2001::1", "192.88.99.1", "fec0::1", "3fff::1", "::127.0.0.1"]  # fmt: skip
NEVER = ["0.0.0.0", "0.1.2.3", "169.254.169.254", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::1",
         "fe80::1", "fe80::1%eth0", "224.0.0.1", "255.255.255.255", "::", "ff02::1", "fd00:ec2::254",
         "100.100.100.200", "240.0.0.1", "168.63.129.16", "::ffff:168.63.129.16", "64:ff9b::a83f:8110", "192.0.0.192",
         "169.254.170.2", "fd00:ec2::253", "fd20:ce::254", "fd00:42::42", "fd00:c1::a9fe:a9fe"]  # fmt: skip


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_open(address: str) -> None:
    assert is_allowed(address)


@pytest.mark.parametrize("address", [*PRIVATE, *NEVER])
def test_everything_else_is_shut(address: str) -> None:
    assert not is_allowed(address)


@pytest.mark.parametrize("address", NEVER)
def test_metadata_link_local_and_multicast_stay_shut_even_for_an_operator_with_private_targets(address: str) -> None:
    assert not is_allowed(address, allow_private=True)


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.1", "192.168.1.1", "::1", "fd00::1", "100.64.0.1"])
def test_an_operator_can_open_private_addresses(address: str) -> None:
    assert is_allowed(address, allow_private=True)


REFUSED_URLS = [
    "http://example.org/x", "ftp://example.org/x", "https://", "https://user:hunter2@example.org/", "https://u@example.org",
    "https://example.org:22/", "https://example.org:99999/", "https://127.0.0.1/", "https://localhost/",
    "https://a.localhost./", "https://[::1]/", "https://[::ffff:169.254.169.254]/", "https://169.254.169.254/latest",
    "https://exa mple.org/", "https://example.org/\nHost: x", "https://example.org/\x00", "file:///etc/passwd",
    "https://[::1/", "javascript:alert(1)",
]  # fmt: skip


@pytest.mark.parametrize("url", REFUSED_URLS)
def test_a_url_that_leads_elsewhere_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(TargetRefusedError) as refused:
        read_url(url)
    assert "hunter2" not in str(refused.value)
    assert "latest" not in str(refused.value)


@pytest.mark.parametrize("host", ["0x7f000001", "2130706433", "127.1", "0177.0.0.1"])
def test_odd_spellings_of_loopback_do_not_connect(host: str) -> None:
    async def resolve(name: str, port: int) -> list[str]:
        return ["127.0.0.1"]  # what the C library makes of all of them

    with pytest.raises(TargetRefusedError):
        asyncio.run(EgressClient(resolve=resolve).post(f"https://{host}/", b"{}", {}))


def test_one_forbidden_address_among_good_ones_is_enough_to_refuse() -> None:
    async def resolve(name: str, port: int) -> list[str]:
        return ["1.1.1.1", "10.0.0.7"]

    with pytest.raises(TargetRefusedError):
        asyncio.run(EgressClient(resolve=resolve).post("https://example.org/", b"{}", {}))


def test_a_name_that_changes_its_mind_is_resolved_once_and_the_checked_address_is_used() -> None:
    answers = iter([["127.0.0.1"], ["169.254.169.254"]])
    asked: list[str] = []

    async def resolve(name: str, port: int) -> list[str]:
        asked.append(name)
        return next(answers)

    async def go() -> Answer:
        async with receiver(ok) as port:
            return await EgressClient(allow_private=True, resolve=resolve).post(
                f"http://rebinding.test:{port}/x", b"{}", {}
            )

    assert asyncio.run(go()).status == 200
    assert asked == ["rebinding.test"]


def test_the_name_is_in_the_host_header_and_no_proxy_of_the_environment_is_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    seen: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")

    async def go() -> int:
        async with receiver(answer) as port:
            egress = EgressClient(allow_private=True, resolve=to_loopback)
            status = (await egress.post(f"http://hooks.example.org:{port}/a?b", b"{}", {"x-y": "z"})).status
            assert f"host: hooks.example.org:{port}".encode() in seen[0].lower()
            return status

    assert asyncio.run(go()) == 204
    assert seen[0].startswith(b"POST /a?b HTTP/1.1")


def test_tls_asks_for_the_name_and_not_for_the_address(tmp_path_factory: pytest.TempPathFactory) -> None:
    names: list[str | None] = []

    async def go() -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)

        def remember(_: ssl.SSLObject, name: str | None, __: ssl.SSLContext) -> int:
            names.append(name)
            return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME

        context.sni_callback = remember
        async with receiver(ok, context) as port:
            egress = EgressClient(allow_private=True, resolve=to_loopback)
            with pytest.raises(UnreachableError):
                await egress.post(f"https://hooks.example.org:{port}/", b"{}", {})

    asyncio.run(go())
    assert names == ["hooks.example.org"]


Receiver = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def to_loopback(name: str, port: int) -> list[str]:
    return ["127.0.0.1"]


async def ok(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")


async def never_answers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def a_byte_a_moment(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    for byte in b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok" * 1000:
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(0.2)


async def ten_gigabytes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 500 Oh\r\ncontent-length: 10000000000\r\n\r\n")
    for _ in range(10_000):
        writer.write(b"x" * 1_000_000)
        await writer.drain()


async def endless_headers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    for _ in range(10_000):
        writer.write(b"x-y: z\r\n" * 10_000)
        await writer.drain()


async def redirects_inside(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/latest\r\ncontent-length: 0\r\n\r\n")


async def hangs_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def speaks_something_else(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"220 smtp.example.org ESMTP\r\n")


@asynccontextmanager
async def receiver(answer: Receiver, context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await answer(reader, writer)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        await asyncio.sleep(0)


async def knock(answer: Receiver, timeout_s: float = 1.0) -> Answer:
    async with receiver(answer) as port:
        return await EgressClient(allow_private=True, timeout_s=timeout_s).post(f"http://127.0.0.1:{port}/", b"{}", {})


@pytest.mark.slow
@pytest.mark.parametrize("evil", [never_answers, a_byte_a_moment, endless_headers, hangs_up, speaks_something_else])
def test_a_receiver_that_gives_no_answer_costs_at_most_the_time_limit(evil: Receiver) -> None:
    async def patiently() -> None:
        async with asyncio.timeout(60):
            await knock(evil)

    with pytest.raises(UnreachableError):
        asyncio.run(patiently())


def test_of_ten_gigabytes_64_kilobytes_are_read() -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    answer = asyncio.run(knock(ten_gigabytes))
    assert answer.status == 500
    assert len(answer.body) <= MAX_ANSWER_BYTES
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000  # kB


def test_a_redirect_is_an_answer_and_is_not_followed() -> None:
    answer = asyncio.run(knock(redirects_inside))
    assert answer.status == 302


def test_nobody_listening_is_unreachable() -> None:
    with pytest.raises(UnreachableError, match=r"127\.0\.0\.1: no connection"):
        asyncio.run(EgressClient(allow_private=True).post("http://127.0.0.1:9/secret-path", b"{}", {}))
