"""The one error of a request that the server will not follow."""

from __future__ import annotations

from fieldmark.errors import DataError


class RequestError(DataError):
    """A request that is refused: the client's to mend, and never a reason to stop.

    `where` is a JSON path (`inputs[0].shape`), `body`, or a header; `status` the HTTP status of the answer.
    """

    def __init__(self, what: str, *, where: str, do: str, status: int = 400) -> None:
        super().__init__(what, where=where, do=do)
        self.status = status
