"""JSON that somebody sent: a typed value, or a refusal that names the field."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import msgspec

from fieldmark.server.refusals import RequestError

Read = TypeVar("Read")
IMAGES = "give the bytes of each image file as one base64 string (RFC 4648, padded, no line breaks), or as a data URL"


def read_json(encoded: bytes | memoryview | msgspec.Raw, into: type[Read], *, where: str, do: str) -> Read:
    """`encoded` as a value of type `into`, of which `where` is the JSON path (empty for the whole document).

    Raises RequestError, with `do` as the advice, for what is no JSON, is nested deeper than the interpreter goes, or
    is of another type; its `where` is the path of the field at fault. Fields that `into` lacks are passed over,
    unless it forbids them.
    """
    try:
        return msgspec.json.decode(encoded, type=into)
    except msgspec.ValidationError as error:
        what, _, path = str(error).partition(" - at ")
        field = where + path.strip("`").removeprefix("$")
        raise RequestError(what, where=field.lstrip(".") or "body", do=do) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RequestError(f"this is not JSON: {error}", where=where or "body", do=do) from error
    except RecursionError as error:
        raise RequestError("the JSON is nested too deep", where=where or "body", do=do) from error


def images_from_base64(texts: Sequence[str], *, where: str) -> tuple[bytes, ...]:
    """The image files that base64 strings stand for; of a data URL, as browsers make them, what follows its head.

    Raises RequestError for other text, with its place in the list `where`.
    """
    return tuple(_decoded(text, f"{where}[{place}]") for place, text in enumerate(texts))


def _decoded(text: str, where: str) -> bytes:
    head, _, rest = text.partition(",")
    try:  # the standard library's decoder takes "AAAA=" for "AAAA", even where it is told to be strict
        return msgspec.convert(rest if head.startswith("data:") and head.endswith(";base64") else text, bytes)
    except msgspec.ValidationError as error:
        raise RequestError("this is not base64", where=where, do=IMAGES) from error
