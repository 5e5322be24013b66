"""What a request may be refused for: one error, three parts, and the HTTP status that goes with it."""

from __future__ import annotations

from typing import Any

from fieldmark.errors import DataError

MEANING = {
    400: "a body that is no request",
    401: "a key is missing, or not known",
    404: "no such model, version or route",
    405: "this route is asked in another way",
    408: "the body was too slow",
    413: "too many bytes, pixels or images",
    415: "a format that is not read, or a compressed body",
    422: "an image that cannot be decoded, or brought the process that decodes it down twice; a wrong parameter",
    429: "the key was used more often than its rate; Retry-After says when to come again",
    500: "a fault of the server",
    503: "too much waits already, or no answer came in time; Retry-After says when to come again",
}


class RequestError(DataError):
    """A request that is not answered. `status` is the HTTP status; `retry_after_s` is told to the client, if any."""

    def __init__(
        self, what: str, *, where: str, do: str, status: int = 400, retry_after_s: float | None = None
    ) -> None:
        super().__init__(what, where=where, do=do)
        self.status = status
        self.retry_after_s = retry_after_s


def too_many_images(count: int, most: int, *, where: str) -> RequestError:
    """413, for one request; several requests may ask about as many."""
    what = f"{count} images in one request, and {most} are allowed"
    return RequestError(what, where=where, do="send them in several requests", status=413)


def went_away() -> RequestError:
    """499, as nginx has it, for the log alone: nobody is there to be told."""
    return RequestError("the client went away", where="connection", do="stay", status=499)


def not_now(what: str, *, where: str = "queue") -> RequestError:
    """503: nothing is wrong with the request, and a second later it may be answered."""
    return RequestError(what, where=where, do="come again in a moment", status=503, retry_after_s=1.0)


def refusals(example: object) -> dict[int | str, dict[str, Any]]:
    """What OpenAPI is told of every status but 200, of which `example` is the body."""
    said = {"application/json": {"schema": {"type": "object", "required": ["error"]}, "example": example}}
    kinds = {f"{first}XX": [code for code in MEANING if code // 100 == first] for first in (4, 5)}
    return {
        kind: {"description": "; ".join(f"{code}: {MEANING[code]}" for code in codes), "content": said}
        for kind, codes in kinds.items()
    }
