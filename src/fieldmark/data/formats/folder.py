"""A folder for each class: photos/cat/1.jpg, photos/dog/2.jpg.

Pictures beside the class folders have no label: they are left out, counted and named in a note.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from fieldmark.data.folders import Found, collect, inside, manifest_hint
from fieldmark.data.formats.row import FormatRow
from fieldmark.data.formats.splits import has_split_folders, refuse_columns
from fieldmark.data.listing import Listing
from fieldmark.errors import DataError


def read(path: Path, columns: Mapping[str, str], root: Path | None) -> Listing:
    """Rows in natural order of class, then file."""
    refuse_columns(path, columns, root)
    found = Found()
    collect(path, path, found)
    if not found.files:
        raise _nothing(path, found)
    blank = [""] * len(found.files)
    return Listing(
        root=path,
        task="single",
        files=found.files,
        labels=found.labels,
        split=blank,
        group=blank,
        notes=found.notes(),
    )


def _sniff(path: Path) -> bool:
    return path.is_dir() and not has_split_folders(path)


def _nothing(path: Path, found: Found) -> DataError:
    hint = manifest_hint(path)
    if found.unlabelled:
        what = f"the folder holds {len(found.unlabelled):,} pictures but no class folders, so none has a label"
        return DataError(what, where=str(path), do="make one folder a class and move the pictures into them" + hint)
    empty = not inside(path).folders and not found.others
    what = "the folder is empty" if empty else "the folder holds no pictures"
    do = "pass a folder that has one folder of pictures for each class"
    return DataError(what, where=str(path), do=do + hint)


ROW = FormatRow(sniff=_sniff, read=read, write=None)
