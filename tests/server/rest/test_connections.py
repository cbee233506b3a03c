"""Bounds of HTTP connections, on a socket."""

import asyncio
import contextlib
import socket
from contextlib import asynccontextmanager

import pytest

pytest.importorskip("uvicorn", reason='needs ".[server]"')
from tfrec_fusion.deploy.status import StatusError
from tfrec_fusion.errors import InputError
from tfrec_fusion.server.limits import Limits
from tfrec_fusion.server.rest.body import read_body
from tfrec_fusion.server.rest.connections import ConnectionLimits
from tfrec_fusion.server.rest.http_server import HttpServer

GET = b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n"
LIMITS = ConnectionLimits(connections=8, header_seconds=600, body_bytes=300_000)


HELD = asyncio.Queue()


async def echo(scope, receive, send):
    """Answers with the length of the body, or with its problem; `/held` counts and waits."""
    if scope["path"] == "/held":
        HELD.put_nowait(None)
        await asyncio.Event().wait()
    size = 100_000_000 if scope["path"] == "/large" else 0
    try:
        body = await read_body(receive, dict(scope["headers"]), Limits())
        status, text = 200, str(len(body)).encode() + b" " * size
    except StatusError as error:
        status, text = error.http, error.message.encode()
    length = (b"content-length", str(len(text)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [length]})
    await send({"type": "http.response.body", "body": text})


class Site:
    """A server and the ways to ask it."""

    def __init__(self, address, server):
        self.address, self.server, self.open = address, server, []

    async def connect(self, data=b""):
        reader, writer = await asyncio.open_connection(*self.address)
        self.open.append(writer)
        writer.write(data)
        await writer.drain()
        return reader, writer

    async def ask(self, data=GET):
        """Status and body, on a connection of its own."""
        return await self.answer((await self.connect(data))[0])

    async def answer(self, reader):
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length:")[1].split()[0])
        return int(head.split()[1]), await reader.readexactly(length)


@asynccontextmanager
async def serving(limits=LIMITS, seconds=600):
    listening = socket.create_server(("127.0.0.1", 0))
    server = HttpServer(echo, limits, seconds, 1)
    task = await server.start(listening)
    site = Site(listening.getsockname(), server)
    try:
        yield site
    finally:
        for writer in site.open:
            writer.transport.abort()
        server.force_exit = server.should_exit = True
        await task


def run(scenario, **options):
    async def all_of_it():
        async with asyncio.timeout(60), serving(**options) as site:
            await scenario(site)

    asyncio.run(all_of_it())


def post(size, sent=None, path=b"/"):
    head = b"POST %s HTTP/1.1\r\nhost: localhost\r\ncontent-length: %d\r\n\r\n" % (path, size)
    return head + b"x" * (size if sent is None else sent)


def test_connections_that_say_nothing_give_way():
    async def scenario(site):
        idle = [await site.connect() for _ in range(50)]
        assert (await site.ask())[0] == 200
        # Of one address half the 8 may stay; the oldest are gone.
        assert await idle[0][0].read() == b""

    run(scenario)


def test_requests_that_begin_and_stall_give_way():
    async def scenario(site):
        for data in (b"GET / HTTP/1.1\r\nhost:", post(100, 0), post(100, 50)):
            for _ in range(20):
                await site.connect(data)
            assert await site.ask() == (200, b"0")

    run(scenario)


def test_those_that_are_answered_stay():
    async def scenario(site):
        held = [await site.connect(GET.replace(b"/", b"/held", 1)) for _ in range(4)]
        for _ in held:
            await HELD.get()
        assert (await site.ask())[0] == 503
        assert not any(reader.at_eof() for reader, _ in held)

    run(scenario)


def test_a_connection_that_is_kept_serves_on():
    async def scenario(site):
        reader, writer = await site.connect()
        for size in (0, 10, 50_000, 0, 200_000):
            writer.write(GET if not size else post(size))
            assert await site.answer(reader) == (200, str(size).encode())
        # Two at once, the second cut in its head.
        writer.write(GET + post(7)[:20])
        assert await site.answer(reader) == (200, b"0")
        writer.write(post(7)[20:])
        assert await site.answer(reader) == (200, b"7")

    run(scenario)


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\nx: " + b"x" * 40_000,
        b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * 7_000,
        b"GET /" + b"x" * 40_000,
    ],
)
def test_headers_are_bounded(data):
    async def scenario(site):
        reader, _ = await site.connect(data)
        # What was not read any more may take the answer with it.
        with contextlib.suppress(ConnectionResetError):
            assert (await reader.readline()).startswith(b"HTTP/1.1 431 ")
        assert await site.ask() == (200, b"0")

    run(scenario)


def test_headers_of_30_kb_and_a_body_at_once_are_fine():
    async def scenario(site):
        long = post(200_000).replace(b"\r\n\r\n", b"\r\nx: " + b"y" * 30_000 + b"\r\n\r\n")
        assert await site.ask(long) == (200, b"200000")

    run(scenario)


def test_headers_have_their_time():
    async def scenario(site):
        silent, _ = await site.connect()
        slow, _ = await site.connect(b"GET / HTTP/1.1\r\n")
        second, writer = await site.connect(GET)
        assert await site.answer(second) == (200, b"0")
        writer.write(b"GET")
        assert await silent.read() == b""
        for reader in (slow, second):
            assert (await reader.read()).startswith(b"HTTP/1.1 408 ")

    run(scenario, limits=ConnectionLimits(header_seconds=0.3))


def test_an_answer_that_nobody_reads_ends():
    async def scenario(site):
        reader, writer = await site.connect(GET.replace(b"/", b"/large", 1))
        await reader.read(1)
        writer.transport.pause_reading()
        while site.server.server_state.connections:
            await asyncio.sleep(0.01)
        assert await site.ask() == (200, b"0")

    run(scenario, seconds=0.1)


def test_stalled_bodies_give_way():
    async def scenario(site):
        # 6 x 90 kB are beyond 300 kB.
        stalled = [await site.connect(post(100_000, 90_000)) for _ in range(6)]
        for size in (10, 50_000, 250_000):
            assert await site.ask(post(size)) == (200, str(size).encode())
        status, text = await site.answer(stalled[0][0])
        assert (status, text[:20]) == (503, b"request bodies hold ")
        assert await stalled[0][0].read() == b""

    run(scenario, limits=ConnectionLimits(body_bytes=300_000))


def test_a_body_beyond_the_budget():
    async def scenario(site):
        assert (await site.ask(post(400_000, 350_000)))[0] == 503
        assert await site.ask(post(250_000)) == (200, b"250000")

    run(scenario)


def test_a_certificate_that_is_none(tmp_path):
    (tmp_path / "chain.pem").write_text("nonsense")

    async def start():
        with socket.create_server(("127.0.0.1", 0)) as listening:
            files = tmp_path / "chain.pem", tmp_path / "chain.pem"
            await HttpServer(echo, LIMITS, 1, 1, files).start(listening)

    with pytest.raises(InputError, match="REST did not start"):
        asyncio.run(start())


def test_bounds_below_1_are_refused():
    with pytest.raises(InputError, match="header_bytes must be positive"):
        ConnectionLimits(header_bytes=0)
