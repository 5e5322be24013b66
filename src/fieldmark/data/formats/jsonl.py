"""A JSONL manifest: one JSON object a line, with file and label or labels (a list, or names separated by "|")."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from fieldmark.data.dataset import Dataset
from fieldmark.data.formats.row import FormatRow
from fieldmark.data.listing import Listing
from fieldmark.data.manifest import Cell, Sheet, cell_of, columns_of, listing, manifest_text
from fieldmark.errors import DataError


def read(path: Path, columns: Mapping[str, str], root: Path | None) -> Listing:
    """Rows in the order of the file. A key that a line lacks is an empty cell there."""
    decoder = msgspec.json.Decoder(dict[str, Any])
    rows: list[tuple[int, dict[str, Any]]] = []
    for number, line in enumerate(manifest_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            rows.append((number, decoder.decode(line)))
        except (msgspec.DecodeError, RecursionError) as error:
            what = f"the line is no JSON object: {error}"
            do = 'write one object a line: {"file": "a.jpg", "label": "cat"}'
            raise DataError(what, where=f"{path}, line {number}", do=do) from error
    if not rows:
        raise DataError("the manifest is empty", where=str(path), do="write one JSON object a line, one an image")
    names = dict.fromkeys(name for _, row in rows for name in row)
    cells = {name: [cell_of(row.get(name)) for _, row in rows] for name in names}
    return listing(Sheet(path=path, columns=cells, places=[f"line {number}" for number, _ in rows]), columns, root)


def write(dataset: Dataset, path: Path) -> None:
    """A manifest whose files are relative to `dataset.root`; labels are a list."""
    columns = columns_of(dataset)
    encoder = msgspec.json.Encoder()
    rows: list[dict[str, Cell]] = [dict(zip(columns, row)) for row in zip(*columns.values())]
    path.write_bytes(encoder.encode_lines(rows))


def _sniff(path: Path) -> bool:
    return path.is_file() and path.suffix.lower() in {".jsonl", ".ndjson"}


ROW = FormatRow(sniff=_sniff, read=read, write=write)
