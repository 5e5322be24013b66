"""What a request may be refused for: one error, three parts, and the HTTP status that goes with it."""

from __future__ import annotations

from fieldmark.errors import DataError


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


def not_now(what: str, *, where: str = "queue") -> RequestError:
    """503: nothing is wrong with the request, and a second later it may be answered."""
    return RequestError(what, where=where, do="come again in a moment", status=503, retry_after_s=1.0)
