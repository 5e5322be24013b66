"""A request's body: read within its bounds, and what images are in it."""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager

import msgspec
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

from fieldmark.server.limits import Limits
from fieldmark.server.refusals import RequestError, not_now

More = Callable[[int], None]
_SMALLER = "send a smaller image, or fewer at a time"


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
    """A JSON request: encoded images in base64 (a data URL's head before it is passed over)."""

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
        raise RequestError("the client went away", where="body", do="stay", status=499) from None
    return bytes(whole)


async def images_in(body: bytes, request: Request, limits: Limits) -> tuple[bytes, ...]:
    """The encoded images of a body: one as it is, several as multipart files, or base64 in JSON. RequestError where
    there is none, or more than allowed."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        images = await _files(body, request, limits)
    elif kind == "application/json":
        images = _decoded(body)
    else:
        images = (body,)
    if not images or images == (b"",):
        raise RequestError(
            "there is no image in this request",
            where="body",
            do='send the bytes of an image, multipart files, or JSON {"images": ["<base64>"]}',
        )
    if len(images) > limits.max_images:
        raise _too_many(len(images), limits)
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


def _decoded(body: bytes) -> tuple[bytes, ...]:
    try:
        asked = msgspec.json.decode(body, type=Body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RequestError(
            f"this JSON is no request: {error}", where="body", do='send {"images": ["<base64>", ...]}'
        ) from error
    images = []
    for number, text in enumerate(asked.images):
        try:
            images.append(
                base64.b64decode(text.partition(",")[2] if text.startswith("data:") else text, validate=True)
            )
        except (binascii.Error, ValueError) as error:
            raise RequestError(
                f"this is not base64: {error}", where=f"images[{number}]", do="encode the bytes of the image file"
            ) from error
    return tuple(images)


def _too_large(limits: Limits) -> RequestError:
    most = f"{limits.max_body_bytes:,} bytes"
    return RequestError(f"the body has more than {most}", where="body", do=_SMALLER, status=413)


def _too_many(count: int, limits: Limits) -> RequestError:
    what = f"{count} images, more than the {limits.max_images} that a request may hold"
    return RequestError(what, where="body", do=_SMALLER, status=413)
