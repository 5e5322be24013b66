"""The report as JSON, for programs: the same value, nothing added."""

from __future__ import annotations

import msgspec

from fieldmark.errors import DataError
from fieldmark.report.report import Report


def render_json(report: Report) -> str:
    """One line of JSON; the same bytes for the same report. `parse(render_json(report)) == report`."""
    return msgspec.json.encode(report).decode() + "\n"


def parse(text: str | bytes, *, where: str = "report.json") -> Report:
    """The report that `render_json` wrote. DataError where it is no such thing; unknown fields are refused."""
    try:
        return msgspec.json.decode(text, type=Report)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise DataError(
            f"this is not a Fieldmark report: {error}", where=where, do="use the report.json that training wrote"
        ) from error
