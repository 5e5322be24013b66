"""Folders of pictures: what is in them, which folder is a class, and what was left aside.

Links are followed (people gather images by links), each folder once, so that a loop ends. Hidden files and the
droppings of file managers are passed over; every other file that is no picture is counted in a note.
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from fieldmark.data.listing import natural, nfc, shown
from fieldmark.data.signatures import PICTURE_SUFFIXES
from fieldmark.errors import DataError

_DROPPINGS = frozenset(
    {"thumbs.db", "desktop.ini", "__macosx", "@eadir", "$recycle.bin", "system volume information"}
)
_MANIFESTS = frozenset({".csv", ".tsv", ".jsonl", ".ndjson", ".parquet"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Inside:
    """What one folder holds, in natural order; `pictures` by their suffix alone."""

    folders: tuple[str, ...]
    pictures: tuple[str, ...]
    others: tuple[str, ...]


class Found:
    """Pictures with the class folder they lie in, and what was left aside, filled folder by folder."""

    def __init__(self) -> None:
        self.files: list[str] = []
        self.labels: list[tuple[str, ...]] = []
        self.unlabelled: list[str] = []
        self.barren: list[str] = []  # class folders without a picture
        self.others: Counter[str] = Counter()  # files that are no pictures, by suffix

    def notes(self) -> tuple[str, ...]:
        """What was left aside, in words."""
        notes = []
        if self.others:
            kinds = ", ".join(f"{count:,} {kind}" for kind, count in sorted(self.others.items()))
            notes.append(f"files that are no pictures were left aside: {kinds}")
        if self.unlabelled:
            names = f"{len(self.unlabelled):,} ({shown(self.unlabelled)})"
            notes.append(f"pictures beside the class folders have no label and were left out: {names}")
        if self.barren:
            notes.append(f"folders without a picture are no classes: {shown(self.barren)}")
        return tuple(notes)


def inside(folder: Path) -> Inside:
    """The visible content of a folder. A link to nowhere counts as a file."""
    folders, pictures, others = [], [], []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith(".") or entry.name.lower() in _DROPPINGS:
                    continue
                if _is_folder(entry):
                    folders.append(entry.name)
                elif suffix(entry.name) in PICTURE_SUFFIXES:
                    pictures.append(entry.name)
                else:
                    others.append(entry.name)
    except OSError as error:
        what = f"the folder cannot be opened: {error.strerror}"
        raise DataError(what, where=str(folder), do="check the path and its permissions") from error
    ordered = (tuple(sorted(names, key=natural)) for names in (folders, pictures, others))
    return Inside(**dict(zip(("folders", "pictures", "others"), ordered)))


def collect(root: Path, top: Path, found: Found) -> None:
    """Adds the class folders of `top` to `found`, files relative to `root`; refuses pictures one folder deeper."""
    content = inside(top)
    prefix = _prefix(root, top)
    found.unlabelled += [prefix + name for name in content.pictures]
    found.others.update(suffix(name) or "no suffix" for name in content.others)
    for name in content.folders:
        of_class = inside(top / name)
        for deeper in of_class.folders:
            if (nested := first_picture(top / name / deeper)) is not None:
                raise _nested(root, top, nested)
        found.others.update(suffix(other) or "no suffix" for other in of_class.others)
        if not of_class.pictures:
            found.barren.append(prefix + name)
        found.files += [f"{prefix}{name}/{picture}" for picture in of_class.pictures]
        found.labels += [(nfc(name),)] * len(of_class.pictures)


def first_picture(folder: Path, seen: frozenset[str] = frozenset()) -> Path | None:
    """The first picture in or under a folder, each real folder looked at once."""
    real = os.path.realpath(folder)
    if real in seen:
        return None
    content = inside(folder)
    if content.pictures:
        return folder / content.pictures[0]
    under = (first_picture(folder / name, seen | {real}) for name in content.folders)
    return next((picture for picture in under if picture is not None), None)


def manifest_hint(folder: Path) -> str:
    """Points at a manifest that lies in the folder, if one does."""
    lying = [name for name in inside(folder).others if suffix(name) in _MANIFESTS]
    return f"; or pass the manifest that lies there: {folder / lying[0]}" if lying else ""


def suffix(name: str) -> str:
    """The lower-case suffix of a file's name, with its dot."""
    return os.path.splitext(name)[1].lower()  # noqa: PTH122  names, not paths; ten times quicker


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _prefix(root: Path, top: Path) -> str:
    relative = top.relative_to(root).as_posix()
    return "" if relative == "." else relative + "/"


def _nested(root: Path, top: Path, picture: Path) -> DataError:
    content = inside(top)
    do = "put the pictures of each class straight into its folder, or write a manifest (CSV) with columns file,label"
    if len(content.folders) == 1 and not content.pictures:
        do = f"if the classes are the folders in there, pass {top / content.folders[0]}; if not, {do}"
    return DataError(
        f"folders inside a class folder hold pictures, so it is unclear which folder is the class: "
        f"{picture.relative_to(root).as_posix()}",
        where=str(top),
        do=do + manifest_hint(root),
    )
