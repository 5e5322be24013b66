"""A CSV manifest: one row an image, columns file and label or labels.

UTF-8, with or without a byte order mark; fields between commas, semicolons or tabs, whichever the header uses.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from pathlib import Path

from fieldmark.data.dataset import Dataset
from fieldmark.data.formats.row import FormatRow
from fieldmark.data.listing import Listing
from fieldmark.data.manifest import Sheet, columns_of, joined, listing, manifest_text
from fieldmark.errors import DataError

_DELIMITERS = ",;\t"


def read(path: Path, columns: Mapping[str, str], root: Path | None) -> Listing:
    """Rows in the order of the file; a row's place is the line on which it ends."""
    text = manifest_text(path)
    header_line = text.lstrip("\r\n").partition("\n")[0]
    delimiter = max(_DELIMITERS, key=header_line.count)
    rows = list(_rows(text, delimiter, path))
    if not rows:
        raise DataError("the manifest is empty", where=str(path), do="write a header (file,label) and a row an image")
    (_, header), *body = rows
    names = [name.strip() for name in header]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise DataError(f"two columns are named {twice!r}", where=f"{path}, header", do="rename one of them")
    for line, row in body:
        if len(row) != len(names):
            what = f"the row has {len(row)} fields and the header {len(names)}"
            raise DataError(what, where=f"{path}, line {line}", do='put fields that hold a comma between "quotes"')
    cells = {name: [row[at] for _, row in body] for at, name in enumerate(names)}
    return listing(Sheet(path=path, columns=cells, places=[f"line {line}" for line, _ in body]), columns, root)


def write(dataset: Dataset, path: Path) -> None:
    """A manifest whose files are relative to `dataset.root`."""
    columns = columns_of(dataset)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows([joined(cell, str(path)) for cell in row] for row in zip(*columns.values()))


def _rows(text: str, delimiter: str, path: Path) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        for row in reader:
            if row:
                yield reader.line_num, row
    except csv.Error as error:
        where = f"{path}, line {reader.line_num}"
        raise DataError(f"this is no CSV: {error}", where=where, do="look for a quote that is not closed") from error


def _sniff(path: Path) -> bool:
    return path.is_file() and path.suffix.lower() in {".csv", ".tsv"}


ROW = FormatRow(sniff=_sniff, read=read, write=write)
