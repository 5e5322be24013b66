"""How predictions are written: a terminal's lines, CSV, JSON lines, one JSON document, Parquet."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO

import msgspec

from fieldmark.cli.extras import extra
from fieldmark.cli.rows import ROW_FORMS, Answer, RowForm, as_record, cells, columns, spelt
from fieldmark.data.writing import writing_whole
from fieldmark.errors import UsageError
from fieldmark.inference.prediction import Prediction

PARQUET_ROWS = 10_000  # rows held before a row group is written


def write_answers(answers: Iterable[Answer], form: str, output: Path | None, top: int) -> None:
    """Write each answer as it comes; a file appears whole or not at all."""
    if form == "parquet" and output is None:
        raise UsageError("Parquet is not for a terminal", where="--format parquet", do="name a file with --output")
    with _open(output) as stream:
        FORMS[form](answers, stream, top)


def _text(answers: Iterable[Answer], stream: IO[bytes], top: int) -> None:
    for answer in answers:
        if isinstance(answer, Prediction):
            ranked = "  ".join(f"{name} {_percent(probability)}" for name, probability in answer.ranked(top))
            stream.write(f"{answer.source}  {ranked}\n".encode(errors="surrogateescape"))
            stream.flush()


def _percent(probability: float) -> str:
    # Never 100 % or 0 %: a classifier is not that sure of anything.
    if probability >= 0.995:
        return "> 99 %" if probability > 0.995 else "99 %"
    return f"{100 * probability:.0f} %" if probability >= 0.005 else "< 1 %"


def _rows(form: RowForm, answers: Iterable[Answer], stream: IO[bytes], top: int) -> None:
    stream.write(form.header(top))
    for answer in answers:
        stream.write(form.row(answer, top))
        stream.flush()


def _json(answers: Iterable[Answer], stream: IO[bytes], top: int) -> None:
    # One document, and yet never held as a whole.
    counts = {"answered": 0, "unreadable": 0}
    stream.write(b'{"predictions": [')
    for place, answer in enumerate(answers):
        counts["answered" if isinstance(answer, Prediction) else "unreadable"] += 1
        stream.write((b",\n  " if place else b"\n  ") + msgspec.json.encode(as_record(answer, top)))
    stream.write(b'\n], "counts": ' + msgspec.json.encode(counts) + b"}\n")


def _parquet(answers: Iterable[Answer], stream: IO[bytes], top: int) -> None:
    with extra("parquet", where="--format parquet"):
        import pyarrow as pa
        import pyarrow.parquet as pq
    names = columns(top)
    schema = pa.schema([(name, pa.float64() if name.startswith("probability") else pa.string()) for name in names])
    with pq.ParquetWriter(stream, schema) as writer:
        for rows in _batched(([spelt(cell) for cell in cells(answer, top)] for answer in answers), PARQUET_ROWS):
            values = [
                [float(c) if c else None for c in column] if name.startswith("probability") else list(column)
                for name, column in zip(names, zip(*rows))
            ]
            writer.write_table(pa.table(values, schema=schema))


def _batched(rows: Iterable[list[str]], size: int) -> Iterator[list[list[str]]]:
    batch: list[list[str]] = []
    for row in rows:
        batch.append(row)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


FORMS: dict[str, Callable[[Iterable[Answer], IO[bytes], int], None]] = {
    "text": _text,
    **{name: partial(_rows, form) for name, form in ROW_FORMS.items()},
    "json": _json,
    "parquet": _parquet,
}


@contextmanager
def _open(output: Path | None) -> Iterator[IO[bytes]]:
    if output is not None:
        with writing_whole(output) as stream:
            yield stream
        return
    yield sys.stdout.buffer
    sys.stdout.buffer.flush()
