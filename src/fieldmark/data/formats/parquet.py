"""A Parquet manifest: columns file and label or labels (a list, or names separated by "|"). Needs pyarrow."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fieldmark.data.dataset import Dataset
from fieldmark.data.formats.row import FormatRow
from fieldmark.data.listing import Listing
from fieldmark.data.manifest import LISTS, Sheet, cell_of, columns_of, listing
from fieldmark.errors import DataError, MissingExtra


def read(path: Path, columns: Mapping[str, str], root: Path | None) -> Listing:
    """Rows in the order of the file, counted from 1."""
    pyarrow = _pyarrow(path)
    try:
        table = pyarrow.parquet.read_table(path)
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        what = f"this is no Parquet file that can be read: {error}"
        raise DataError(what, where=str(path), do="write it again, or pass a CSV or JSONL manifest") from error
    if not table.num_rows:
        raise DataError("the manifest is empty", where=str(path), do="write a row for each image")
    cells = {
        name: [cell_of(value) for value in column.to_pylist()]
        for name, column in zip(table.column_names, table.columns)
    }
    places = [f"row {number}" for number in range(1, table.num_rows + 1)]
    return listing(Sheet(path=path, columns=cells, places=places), columns, root)


def write(dataset: Dataset, path: Path) -> None:
    """A manifest whose files are relative to `dataset.root`; labels are a list of strings."""
    pyarrow = _pyarrow(path)
    columns = {
        name: pyarrow.array(column, pyarrow.list_(pyarrow.string()) if name in LISTS else pyarrow.string())
        for name, column in columns_of(dataset).items()
    }
    pyarrow.parquet.write_table(pyarrow.table(columns), path)


def _pyarrow(path: Path) -> Any:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        what = "reading or writing Parquet needs pyarrow, which is not installed"
        raise MissingExtra(what, where=str(path), do="pip install 'fieldmark[parquet]'") from error
    return pyarrow


def _sniff(path: Path) -> bool:
    return path.is_file() and path.suffix.lower() in {".parquet", ".pq"}


ROW = FormatRow(sniff=_sniff, read=read, write=write)
