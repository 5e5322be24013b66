"""A request's head is bounded in time and in size; what is usual passes."""

import asyncio
import contextlib
import socket
import threading

import pytest
import uvicorn

from fieldmark.server.connection import bounded
from fieldmark.server.limits import Limits

WHOLE = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


WITH_A_BODY = WHOLE.replace(b"Host: x", b"Host: x\r\nConnection: close\r\nContent-Length: 5000000")


LEFT = threading.Event()


async def _hello(scope, receive, send):
    """Answers whatever is asked, without reading a body; PUT once a body has come, the head before it. POST:
    never, but sets LEFT when the client, having said all, is gone."""
    if scope["method"] == "POST":
        while (await receive())["more_body"]:
            pass
        async with asyncio.timeout(5):
            await scope["state"]["gone"]
        LEFT.set()
        return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
    if scope["method"] == "PUT":
        await receive()
    await send({"type": "http.response.body", "body": b"hello"})


@contextlib.contextmanager
def _listening(limits):
    config = uvicorn.Config(_hello, http=bounded(limits), ws="none", lifespan="off", log_config=None)
    server, listening = uvicorn.Server(config), socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listening])))
    thread.start()
    try:
        yield listening.getsockname()
    finally:
        server.should_exit = True
        thread.join()


def _answered(address, *sent):
    """Everything that comes back until the server closes, which it must."""
    with socket.create_connection(address, timeout=60) as connection:
        for some in sent:
            connection.sendall(some)
        with contextlib.suppress(ConnectionResetError):
            return b"".join(iter(lambda: connection.recv(1000), b""))
        return b""


@pytest.fixture(scope="module")
def address():
    with _listening(Limits(head_s=0.2, linger_s=0.2, max_header_bytes=2000)) as address:
        yield address


@pytest.mark.parametrize("start", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: x\r\nX: "])
def test_a_head_that_does_not_come_closes_the_connection(address, start):
    assert _answered(address, start) == b""


def test_a_head_that_never_ends_closes_the_connection_also_after_a_whole_one(address):
    assert _answered(address, WHOLE, b"GET / HTTP/1.1\r\nHost").endswith(b"hello")


def test_a_head_that_grows_and_grows_is_refused(address):
    with socket.create_connection(address, timeout=60) as connection, contextlib.suppress(ConnectionError):
        connection.sendall(b"GET / HTTP/1.1\r\nX: ")
        for _ in range(200):
            connection.sendall(b"a" * 100_000)
        raise AssertionError("20 MB of one header were taken")


def test_who_is_answered_early_may_say_the_rest_and_finds_the_answer():
    with _listening(Limits()) as address, socket.create_connection(address, timeout=60) as connection:
        connection.sendall(WITH_A_BODY)
        answer = connection.recv(1000)
        connection.sendall(bytes(5_000_000))
        connection.shutdown(socket.SHUT_WR)
        assert b"".join([answer, *iter(lambda: connection.recv(1000), b"")]).endswith(b"hello")


def test_who_is_answered_early_and_never_ends_is_left(address):
    with socket.create_connection(address, timeout=60) as connection, pytest.raises(ConnectionError):
        connection.sendall(WITH_A_BODY)
        for _ in range(1_000_000):
            connection.sendall(bytes(100_000))


def test_an_answer_comes_in_one_piece(address):
    with socket.create_connection(address, timeout=60) as connection:
        for _ in range(3):
            connection.sendall(WHOLE)
            assert connection.recv(1000).endswith(b"\r\n\r\nhello")


def test_a_head_whose_body_is_not_there_yet_goes_ahead(address):
    with socket.create_connection(address, timeout=60) as connection:
        connection.sendall(b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n")
        assert connection.recv(1000).endswith(b"\r\n\r\n")
        connection.sendall(b"x")
        assert connection.recv(1000) == b"hello"


@pytest.mark.parametrize("size", [10, 1_000_000])
def test_a_client_that_leaves_after_its_body_is_known_to_be_gone(address, size):
    LEFT.clear()  # a body of more than 64 kB stops uvicorn's reading, and with it the news of an end
    with socket.create_connection(address, timeout=60) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % size + bytes(size))
    assert LEFT.wait(10)


def test_a_usual_request_is_answered(address):
    assert _answered(address, WHOLE.replace(b"Host: x", b"Host: x\r\nConnection: close")).endswith(b"hello")
