"""Folders train, validation and test, each with a folder a class; their usual other names are understood too."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from fieldmark.data.folders import Found, collect, first_picture, inside, manifest_hint
from fieldmark.data.formats.row import FormatRow
from fieldmark.data.listing import SPLIT_WORDS, Listing, shown
from fieldmark.errors import DataError, UsageError


def read(path: Path, columns: Mapping[str, str], root: Path | None) -> Listing:
    """Rows in natural order of split folder, class, file."""
    refuse_columns(path, columns, root)
    split: list[str] = []
    found = Found()
    aside = _refuse_strangers(path)
    for part, name in _split_folders(path).items():
        collect(path, path / name, found)
        split += [part] * (len(found.files) - len(split))
    if not found.files:
        what = "the split folders hold no class folders with pictures"
        raise DataError(
            what, where=str(path), do="put a folder for each class into each of them" + manifest_hint(path)
        )
    notes = (*found.notes(), *([f"folders without pictures were left aside: {shown(aside)}"] if aside else []))
    blank = [""] * len(found.files)
    return Listing(
        root=path, task="single", files=found.files, labels=found.labels, split=split, group=blank, notes=notes
    )


def has_split_folders(path: Path) -> bool:
    """Whether a folder inside bears the name of a split."""
    return any(name.casefold() in SPLIT_WORDS for name in inside(path).folders)


def refuse_columns(path: Path, columns: Mapping[str, str], root: Path | None) -> None:
    """Settings of manifests have no effect on folders, and so are refused there."""
    if columns or root is not None:
        given = "columns" if columns else "root"
        raise UsageError(
            f"{given} was given, but this is a folder of pictures and no manifest",
            where=str(path),
            do=f"leave {given} out, or pass the manifest itself (.csv, .jsonl, .parquet)",
        )


def _split_folders(path: Path) -> dict[str, str]:
    parts: dict[str, str] = {}
    for name in inside(path).folders:
        part = SPLIT_WORDS.get(name.casefold())
        if part in parts:
            what = f"two folders are the {part} part: {parts[part]} and {name}"
            raise DataError(what, where=str(path), do="keep one of them, or merge them")
        if part is not None:
            parts[part] = name
    return {part: parts[part] for part in ("train", "validation", "test") if part in parts}


def _refuse_strangers(path: Path) -> list[str]:
    content = inside(path)
    strangers = [name for name in content.folders if name.casefold() not in SPLIT_WORDS]
    for name in strangers:
        if (picture := first_picture(path / name)) is not None:
            known = ", ".join(_split_folders(path).values())
            raise DataError(
                f"{name} stands beside {known} and holds pictures too ({picture.relative_to(path).as_posix()})",
                where=str(path),
                do=f"move {name} elsewhere; or, if {known} is a class and no split, rename that folder",
            )
    return strangers


def _sniff(path: Path) -> bool:
    return path.is_dir() and has_split_folders(path)


ROW = FormatRow(sniff=_sniff, read=read, write=None)
