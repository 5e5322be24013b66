"""JSON that somebody sent: a typed value, or a refusal that names the field."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from fieldmark.server.refusals import RequestError

Read = TypeVar("Read")


def read_json(encoded: bytes | memoryview | msgspec.Raw, into: type[Read], *, where: str, do: str) -> Read:
    """`encoded` as a value of type `into`, of which `where` is the JSON path (empty for the whole document).

    Raises RequestError, with `do` as the advice, for what is no JSON, is nested deeper than the interpreter goes, or
    is of another type; its `where` is the path of the field at fault. Fields that `into` lacks are passed over.
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
