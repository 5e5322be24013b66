"""A request's body: read within its bounds, and what images are in it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager

import msgspec
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

from fieldmark.server.limits import Limits
from fieldmark.server.reading import images_from_base64, read_json
from fieldmark.server.refusals import RequestError, not_now, too_many_images, went_away

More = Callable[[int], None]


class Memory:
    """Bytes that all requests hold together, `most` of them: bodies that are read, wait, or are worked on."""

    def __init__(self, most: int) -> None:
        self.most, self.held = most, 0

    @contextmanager
    def holding(self) -> Iterator[More]:
        """A function that takes room for so many bytes more of one request, or raises RequestError (503) where there
        is none; all of it is given back at the end."""
        taken = 0

        def more(count: int) -> None:
            nonlocal taken
            if self.held + count > self.most:
                raise not_now(f"requests hold {self.held:,} bytes already")
            self.held += count
            taken += count

        try:
            yield more
        finally:
            self.held -= taken


class Body(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A JSON request: encoded images, each in base64 or as a data URL."""

    images: tuple[str, ...]


class _InMemory(MultiPartParser):
    """The body is bounded already: no part is written to the disk."""

    spool_max_size = 2**40


async def read_body(request: Request, limits: Limits, more: More) -> bytes:
    """The whole body. RequestError where it is larger than allowed (413), slower (408), compressed (415), or the
    server holds too much already (503)."""
    if request.headers.get("content-encoding", "identity") != "identity":
        raise RequestError(
            "compressed bodies are not read", where="Content-Encoding", do="send it as it is", status=415
        )
    said = request.headers.get("content-length", "0")  # digits alone: the parser of heads saw to that
    if len(said) > len(str(limits.max_body_bytes)) or int(said) > limits.max_body_bytes:
        raise _too_large(limits)
    whole = bytearray()
    try:
        async with asyncio.timeout(limits.body_s):
            async for chunk in request.stream():
                if len(whole) + len(chunk) > limits.max_body_bytes:
                    raise _too_large(limits)
                more(len(chunk))
                whole += chunk
    except TimeoutError:
        raise RequestError(
            f"the body was not there within {limits.body_s:g} s", where="body", do="send it faster", status=408
        ) from None
    except ClientDisconnect:
        raise went_away() from None
    return bytes(whole)


async def images_in(body: bytes, request: Request, limits: Limits) -> tuple[bytes, ...]:
    """The encoded images of a body: one as it is, several as multipart files, or base64 in JSON. RequestError where
    there is none, or more than allowed."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        images = await _files(body, request, limits)
    elif kind == "application/json":
        images = _in_json(body, limits)
    else:
        images = (body,)
    if not images or images == (b"",):
        raise RequestError(
            "there is no image in this request",
            where="body",
            do='send the bytes of an image, multipart files, or JSON {"images": ["<base64>"]}',
        )
    return images


async def _files(body: bytes, request: Request, limits: Limits) -> tuple[bytes, ...]:
    async def stream() -> AsyncIterator[bytes]:
        yield body

    parser = _InMemory(request.headers, stream(), max_files=limits.max_images, max_fields=limits.max_images)  # type: ignore[arg-type]
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise RequestError(
            f"this is no multipart form: {error.message}",
            where="body",
            do="send files as curl -F file=@photo.jpg does",
        ) from error
    files = [value for _, value in form.multi_items() if isinstance(value, UploadFile)]
    return tuple([await file.read() for file in files])


def _in_json(body: bytes, limits: Limits) -> tuple[bytes, ...]:
    texts = read_json(body, Body, where="", do='send {"images": ["<base64>", ...]}').images
    if len(texts) > limits.max_images:  # before millions of empty ones keep everybody waiting
        raise too_many_images(len(texts), limits.max_images, where="images")
    return images_from_base64(texts, where="images")


def _too_large(limits: Limits) -> RequestError:
    most = f"{limits.max_body_bytes:,} bytes"
    return RequestError(
        f"the body has more than {most}", where="body", do="send a smaller image, or fewer at a time", status=413
    )
