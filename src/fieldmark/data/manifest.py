"""Rows of a manifest, whatever file they came from, checked and made a listing.

Columns: `file`; `label` (one each) or `labels` (any number, separated by "|"; none of them is allowed); optional
`split` and `group`; any others are kept as metadata. Beside `labels` optional `unknown`: labels that nobody looked
for in this image, neither present nor absent ("*": all but its own). Images lie in the manifest's folder or under it,
unless a root is given; a manifest is somebody else's document, so no path in it leaves that root, by "..", "/" or a
link.
"""

from __future__ import annotations

import difflib
import os
import posixpath
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fieldmark.data.dataset import Dataset
from fieldmark.data.fingerprint import label_names, unknown_names
from fieldmark.data.listing import SPLIT_WORDS, Listing, nfc, shown
from fieldmark.errors import DataError
from fieldmark.table import unknown_name

FIELDS = ("file", "label", "labels", "unknown", "split", "group")
LISTS = ("labels", "unknown")  # fields whose cells name any number of labels
SEPARATOR = "|"
_LABELS = frozenset({"label", "labels"})
Cell = str | tuple[str, ...]  # a tuple in a `labels` column whose format has lists


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """A manifest as its format gave it: columns of equal length, and for each row its place in the file."""

    path: Path
    columns: Mapping[str, Sequence[Cell]]
    places: Sequence[str]  # "line 7"


def listing(sheet: Sheet, columns: Mapping[str, str], root: Path | None) -> Listing:
    """The sheet's rows as a Listing; DataError names file, row and field of what is wrong."""
    fields, metadata = _fields(sheet, columns)
    base = sheet.path.parent if root is None else root
    files = _files(sheet, fields["file"], base)
    multi = "labels" in fields
    labels = _labels(sheet, fields["labels" if multi else "label"], multi)
    unknown = _unknown(sheet, fields.get("unknown"), labels, multi)
    split = _splits(sheet, fields.get("split"))
    group = [str(cell) for cell in fields.get("group", [""] * len(files))]
    keep, notes = _once_each(sheet, list(zip(files, labels, unknown, split, group)))
    return Listing(
        root=base,
        task="multi" if multi else "single",
        files=[files[row] for row in keep],
        labels=[labels[row] for row in keep],
        unknown=[unknown[row] for row in keep] if any(unknown) else (),
        split=[split[row] for row in keep],
        group=[group[row] for row in keep],
        metadata={name: [_text(column[row]) for row in keep] for name, column in metadata.items()},
        notes=notes,
    )


def manifest_text(path: Path) -> str:
    """A manifest's text: UTF-8, a byte order mark taken off, ends of line as they are."""
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        where = f"{path}, byte {error.start}"
        raise DataError("the manifest is not UTF-8 text", where=where, do='save it again as "CSV UTF-8"') from error
    except OSError as error:
        what = f"the manifest cannot be read: {error.strerror}"
        raise DataError(what, where=str(path), do="check its permissions") from error


def cell_of(value: object) -> Cell:
    """A cell from a format that has types: null is empty, a list of names stays several, the rest is its text."""
    if value is None:
        return ""
    if isinstance(value, list):
        return tuple(str(name) for name in value if name is not None)
    return str(value).lower() if isinstance(value, bool) else str(value)


def columns_of(dataset: Dataset) -> dict[str, list[Cell]]:
    """The columns by which a manifest holds a dataset; a `labels` cell is a tuple of names."""
    names = {name for name in dataset.metadata if name in FIELDS}
    if names:
        what = f"metadata may not be named {shown(sorted(names))}: a manifest has a meaning for that"
        raise DataError(what, where=f"metadata of {dataset.root}", do="rename the column")
    columns: dict[str, list[Cell]] = {"file": list(dataset.files)}
    if dataset.task == "single":
        columns["label"] = [dataset.classes[target] for target in dataset.targets]
    else:
        columns["labels"] = [*label_names(dataset)]
    optional: dict[str, list[Cell]] = {
        "unknown": [*unknown_names(dataset)],
        "split": list(dataset.split),
        "group": list(dataset.group),
    }
    columns |= {name: column for name, column in optional.items() if any(column)}
    return columns | {name: list(column) for name, column in dataset.metadata.items()}


def joined(cell: Cell, where: str) -> str:
    """A cell for a format without lists: labels with "|" between them."""
    if isinstance(cell, str):
        return cell
    if bad := next((name for name in cell if SEPARATOR in name), None):
        what = f"the label {bad!r} holds {SEPARATOR!r}, which stands between labels"
        raise DataError(what, where=where, do="rename the class, or write JSONL or Parquet")
    return SEPARATOR.join(cell)


def _fields(sheet: Sheet, mapping: Mapping[str, str]) -> tuple[dict[str, Sequence[Cell]], dict[str, Sequence[Cell]]]:
    for name, column in mapping.items():
        if name not in FIELDS:
            raise unknown_name("field", name, FIELDS)
        if column not in sheet.columns:
            raise _no_column(sheet, column, f"no column is named {column!r}, which was asked for as {name!r}")
    present = {name: column for name in FIELDS if (column := _column_of(name, mapping)) in sheet.columns}
    if "file" not in present:
        raise _no_column(sheet, "file", "no column is named 'file'")
    if "label" in present and "labels" in present:
        what = "there is a column 'label' and a column 'labels'"
        raise DataError(what, where=f"{sheet.path}, header", do="say which one counts: --columns label=label")
    if "label" not in present and "labels" not in present:
        raise _no_column(sheet, "label", "no column is named 'label' or 'labels'")
    used = set(present.values())
    metadata = {name: column for name, column in sheet.columns.items() if name not in used}
    return {name: sheet.columns[column] for name, column in present.items()}, metadata


def _column_of(name: str, mapping: Mapping[str, str]) -> str:
    if name in mapping:
        return mapping[name]
    # A column that was given to one field is not, by its own name, another as well; nor is there a second label.
    taken = name in mapping.values() or (name in _LABELS and not _LABELS.isdisjoint(mapping))
    return "" if taken else name


def _no_column(sheet: Sheet, wanted: str, what: str) -> DataError:
    known = list(sheet.columns)
    folded = {name.casefold(): name for name in known}
    close = difflib.get_close_matches(wanted.casefold(), folded, n=1, cutoff=0.6)
    guess = f"did you mean {folded[close[0]]!r}? " if close else ""
    do = f"{guess}the columns are: {shown(known, 20)}; map another name with --columns file=NAME,label=NAME"
    return DataError(what, where=f"{sheet.path}, header", do=do)


def _files(sheet: Sheet, cells: Sequence[Cell], base: Path) -> list[str]:
    root = os.path.realpath(base)
    safe_folders: dict[str, bool] = {}
    files, missing = [], []
    for cell, place in zip(cells, sheet.places):
        name = _relative(str(cell).strip(), base)
        if not name:
            raise _bad_cell(sheet, place, "file", "is empty", "give each row the path of its image")
        name = _on_disk(root, name)
        if _leaves(root, name, safe_folders):
            what = f"is {str(cell)!r}, which lies outside {base}"
            raise _bad_cell(
                sheet, place, "file", what, "name the folder that holds all images with --root (in Python: root=)"
            )
        if not os.path.lexists(posixpath.join(root, name)):
            missing.append(f"{name} ({place})")
        files.append(name)
    if missing:
        what = f"{len(missing):,} of {len(files):,} files are not there: {shown(missing)}"
        do = f"paths are taken from {base}; correct them, or name another folder with --root (in Python: root=)"
        raise DataError(what, where=f"{sheet.path}, field 'file'", do=do)
    return files


def _relative(name: str, base: Path) -> str:
    if name.startswith("/"):
        return posixpath.relpath(name, base.absolute().as_posix())  # inside the root it is only another spelling
    return posixpath.normpath(name) if name else ""


def _on_disk(root: str, name: str) -> str:
    # Names were written on one system and read on another: é as one character or two, \ between folders.
    spellings = (name, nfc(name), unicodedata.normalize("NFD", name), posixpath.normpath(name.replace("\\", "/")))
    return next((spelling for spelling in spellings if os.path.lexists(posixpath.join(root, spelling))), name)


def _leaves(root: str, name: str, safe_folders: dict[str, bool]) -> bool:
    if name == ".." or name.startswith("../") or "\0" in name or name[1:3] in (":\\", ":/"):
        return True
    path = posixpath.join(root, name)
    folder = posixpath.dirname(path)
    if folder not in safe_folders:
        safe_folders[folder] = _within(root, os.path.realpath(folder))
    return not safe_folders[folder] or (_is_link(path) and not _within(root, os.path.realpath(path)))


def _is_link(path: str) -> bool:
    return os.path.islink(path)  # noqa: PTH114  a Path for each of a million rows costs more than the look


def _within(root: str, path: str) -> bool:
    return path == root or path.startswith(root.rstrip("/") + "/")


def _labels(sheet: Sheet, cells: Sequence[Cell], multi: bool) -> list[tuple[str, ...]]:
    return [_label_set(cell) if multi else _one_label(sheet, cell, place) for cell, place in zip(cells, sheet.places)]


def _label_set(cell: Cell) -> tuple[str, ...]:
    names = cell.split(SEPARATOR) if isinstance(cell, str) else cell
    return tuple(sorted({nfc(name.strip()) for name in names if name.strip()}))


def _one_label(sheet: Sheet, cell: Cell, place: str) -> tuple[str, ...]:
    if not isinstance(cell, str):
        what = f"is a list ({_text(cell)}), and an image has one label here"
        raise _bad_cell(sheet, place, "label", what, "name the column 'labels' where an image may have several")
    if not cell.strip():
        raise _bad_cell(sheet, place, "label", "is empty", "give the image a label, or leave the row out")
    return (nfc(cell.strip()),)


def _unknown(
    sheet: Sheet, cells: Sequence[Cell] | None, labels: Sequence[tuple[str, ...]], multi: bool
) -> list[tuple[str, ...]]:
    names = [_label_set(cell) for cell in cells or [""] * len(labels)]
    for found, own, place in zip(names, labels, sheet.places):
        if found and not multi:
            what = "names labels that nobody looked for, and with one label an image there are none"
            do = (
                "name the column 'labels' where an image may have several, or rename 'unknown' to keep it as metadata"
            )
            raise _bad_cell(sheet, place, "unknown", what, do)
        if both := sorted(set(found) & set(own)):
            what = f"holds {shown(both)}, which this image is said to have"
            raise _bad_cell(sheet, place, "unknown", what, "leave a label in one of the two cells")
    return names


def _splits(sheet: Sheet, cells: Sequence[Cell] | None) -> list[str]:
    parts = []
    for cell, place in zip([""] * len(sheet.places) if cells is None else cells, sheet.places):
        word = str(cell).strip().casefold()
        if word and word not in SPLIT_WORDS:
            do = f"use one of: {', '.join(SPLIT_WORDS)}; or leave it empty"
            raise _bad_cell(sheet, place, "split", f"is {str(cell)!r}, which names no split", do)
        parts.append(SPLIT_WORDS[word] if word else "")
    return parts


def _once_each(
    sheet: Sheet, rows: Sequence[tuple[str, tuple[str, ...], tuple[str, ...], str, str]]
) -> tuple[list[int], tuple[str, ...]]:
    first: dict[str, int] = {}
    keep = []
    for row, (file, *says) in enumerate(rows):
        earlier = first.setdefault(file, row)
        if earlier == row:
            keep.append(row)
        elif list(rows[earlier][1:]) != says:
            what = f"{file} is in twice and the rows differ in what they say of it"
            where = f"{sheet.path}, {sheet.places[earlier]} and {sheet.places[row]}"
            raise DataError(
                what, where=where, do="keep the row that is right; several labels go into one 'labels' cell"
            )
    again = len(rows) - len(keep)
    return keep, (
        (f"{again:,} rows named a file a second time with the same label and were left out",) if again else ()
    )


def _bad_cell(sheet: Sheet, place: str, name: str, what: str, do: str) -> DataError:
    return DataError(f"the field {name!r} {what}", where=f"{sheet.path}, {place}, field {name!r}", do=do)


def _text(cell: Cell) -> str:
    return cell if isinstance(cell, str) else SEPARATOR.join(cell)
