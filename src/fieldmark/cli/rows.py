"""Forms in which each answer is a row of its own: so a file that was cut off can be gone on with."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO, Any

import msgspec

from fieldmark.inference.prediction import Failure, Prediction

Answer = Prediction | Failure


@dataclass(frozen=True, slots=True, kw_only=True)
class RowForm:
    """`header(top)` begins the file, `row(answer, top)` is one answer with its line end, and `told(row)` reads back
    (file, why there is no answer; "" where there is one). `quotes`: a line end between two of them is of the row."""

    header: Callable[[int], bytes]
    row: Callable[[Answer, int], bytes]
    told: Callable[[bytes], tuple[str, str]]
    quotes: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenRow:
    """A row as a file has it: where it ends (bytes from the start), and what it tells."""

    end: int
    file: str
    problem: str


def written_rows(stream: IO[bytes], form: RowForm, top: int) -> Iterator[WrittenRow]:
    """Every whole row of `stream`, as far as the file is what `form` writes: a row that was cut off ends it."""
    header = form.header(top)
    if stream.read(len(header)) != header:
        return
    end, row = len(header), b""
    for line in stream:
        row += line
        if not line.endswith(b"\n") or (form.quotes and row.count(b'"') % 2):
            continue
        end += len(row)
        try:
            file, problem = form.told(row)
        except (ValueError, LookupError, csv.Error, msgspec.MsgspecError):
            return
        yield WrittenRow(end=end, file=file, problem=problem)
        row = b""


def as_record(answer: Answer, top: int) -> dict[str, Any]:
    """The fields of one answer, as JSON has them."""
    file = spelt(answer.source)
    if isinstance(answer, Failure):
        problem = answer.unreadable
        return {"file": file, "error": {"reason": str(problem.reason), "detail": spelt(problem.detail)}}
    ranked = [{"class": name, "probability": probability} for name, probability in answer.ranked(top)]
    return {"file": file, "labels": list(answer.labels), "top": ranked}


def spelt(name: str) -> str:
    """A file's name where only Unicode is allowed: bytes that are none are written as \\xE9."""
    return name.encode(errors="surrogateescape").decode(errors="backslashreplace")


def columns(top: int) -> list[str]:
    """The names of a table's columns."""
    ranks = [f"{name}_{rank}" for rank in range(1, top + 1) for name in ("class", "probability")]
    return ["file", "label", *ranks, "error"]


def cells(answer: Answer, top: int) -> list[str]:
    """One answer as text, in the order of `columns`."""
    if isinstance(answer, Failure):
        return [answer.source, *[""] * (2 * top + 1), f"{answer.unreadable.reason}: {answer.unreadable.detail}"]
    ranked = [cell for name, probability in answer.ranked(top) for cell in (name, f"{probability:.6f}")]
    return [answer.source, "|".join(answer.labels), *ranked, *[""] * (2 * top - len(ranked)), ""]


def _csv_row(values: list[str]) -> bytes:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(values)
    return line.getvalue().encode(errors="surrogateescape")


def _told_by_csv(row: bytes) -> tuple[str, str]:
    # A bare carriage return in a name is written as it is, and would be a second row to the reader.
    (values,) = csv.reader([row.decode(errors="surrogateescape").replace("\r", " ")])
    return values[0], values[-1]


def _told_by_json(row: bytes) -> tuple[str, str]:
    record = msgspec.json.decode(row, type=dict[str, Any])
    error = record.get("error")
    return str(record["file"]), f"{error['reason']}: {error['detail']}" if error else ""


ROW_FORMS = {
    "csv": RowForm(
        header=lambda top: _csv_row(columns(top)),
        row=lambda answer, top: _csv_row(cells(answer, top)),
        told=_told_by_csv,
        quotes=True,
    ),
    "jsonl": RowForm(
        header=lambda top: b"",  # noqa: ARG005  (the form's signature)
        row=lambda answer, top: msgspec.json.encode(as_record(answer, top)) + b"\n",
        told=_told_by_json,
        quotes=False,
    ),
}
