"""Parts of the install that a verb needs and may not have."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from fieldmark.errors import MissingExtra


@contextmanager
def extra(name: str, *, where: str) -> Iterator[None]:
    """Around the imports of what the extra `name` installs.

    Raises MissingExtra, with the command that installs it, where one of its packages is not there. A module of our
    own that is missing is our fault, and stays the error that it is.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "fieldmark":
            raise
        raise MissingExtra(f"this needs {error.name}", where=where, do=f"pip install 'fieldmark[{name}]'") from None
