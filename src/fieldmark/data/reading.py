"""From a path to a Dataset: recognise the format, list its images, look at every file once."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fieldmark.cores import available_cores
from fieldmark.data.dataset import UNKNOWN, Dataset, Skipped
from fieldmark.data.decoding import header
from fieldmark.data.formats.row import FORMATS
from fieldmark.data.listing import EVERY_OTHER, Listing, natural, shown
from fieldmark.data.loading import read_bytes
from fieldmark.data.picture import Limits, Unreadable
from fieldmark.errors import DataError
from fieldmark.progress import Progress, silent

_LIMITS = Limits()
_CHUNK = 64  # files that a thread looks at between two hand-overs


@dataclass(frozen=True, slots=True)
class _Seen:
    content: str
    size_px: tuple[int, int]


def read(
    path: str | Path,
    *,
    columns: Mapping[str, str] | None = None,
    root: str | Path | None = None,
    strict: bool = False,
    progress: Progress = silent,
) -> Dataset:
    """Labelled images from a folder, or from a CSV, JSONL or Parquet manifest.

    `columns` maps fields of a manifest (file, label, labels, split, group) to the names its columns have; `root` is
    the folder its paths start from (its own, if not given). Every file is read once, for its content id and its
    header. A file that is no readable image is left out and listed in `skipped`; with `strict` it is a DataError.
    """
    place = Path(path)
    listing = _listing(place, columns or {}, None if root is None else Path(root))
    _refuse_names_that_are_no_text(listing, place)
    seen = list(_look(listing, progress))
    skipped = tuple(Skipped(file=f, unreadable=s) for f, s in zip(listing.files, seen) if isinstance(s, Unreadable))
    if skipped and (strict or len(skipped) == len(seen)):
        raise _unreadable(place, skipped, len(seen))
    dataset = _dataset(listing, seen, skipped)
    _refuse_labels_never_trained(dataset, place)
    return dataset


def _listing(path: Path, columns: Mapping[str, str], root: Path | None) -> Listing:
    if not path.exists():
        do = "check the path: it is taken from the folder you are in"
        raise DataError("there is no such file or folder", where=str(path), do=do)
    for name in FORMATS:
        if FORMATS[name].sniff(path):
            return FORMATS[name].read(path, columns, root)
    what = "this file is neither a folder of images nor a manifest that can be read"
    raise DataError(what, where=str(path), do="pass a folder of pictures, or a .csv, .jsonl or .parquet manifest")


def _refuse_names_that_are_no_text(listing: Listing, path: Path) -> None:
    # Such bytes would stop the report and the bundle's index, an hour later.
    strange = [file for file in listing.files if not file.isascii() and _no_text(file)]
    if strange:
        what = f"{len(strange):,} paths are not UTF-8, so nothing could name them; the first is {strange[0]!r}"
        do = "rename them, for instance with: convmv -r -f latin1 -t utf8 --notest " + str(path)
        raise DataError(what, where=str(path), do=do)


def _no_text(name: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in name)


def _look(listing: Listing, progress: Progress) -> Iterator[_Seen | Unreadable]:
    done = 0
    with ThreadPoolExecutor(available_cores(), thread_name_prefix="fieldmark-read") as pool:
        for chunk in pool.map(partial(_look_at_chunk, listing.root), _chunks(listing.files)):
            yield from chunk
            done += len(chunk)
            progress("read", done, len(listing.files))


def _chunks(files: Sequence[str]) -> Iterator[list[str]]:
    rest = iter(files)
    while chunk := list(islice(rest, _CHUNK)):
        yield chunk


def _look_at_chunk(root: Path, files: Sequence[str]) -> list[_Seen | Unreadable]:
    return [_look_at(root / file) for file in files]


def _look_at(path: Path) -> _Seen | Unreadable:
    encoded = read_bytes(path, _LIMITS)
    if isinstance(encoded, Unreadable):
        return encoded
    size_px = header(encoded, limits=_LIMITS)
    return size_px if isinstance(size_px, Unreadable) else _Seen(hashlib.sha256(encoded).hexdigest(), size_px)


def _dataset(listing: Listing, seen: Sequence[_Seen | Unreadable], skipped: tuple[Skipped, ...]) -> Dataset:
    good = [(row, found) for row, found in enumerate(seen) if isinstance(found, _Seen)]
    rows = [row for row, _ in good]
    labels = [listing.labels[row] for row in rows]
    unknown = [listing.unknown[row] for row in rows] if listing.unknown else [()] * len(rows)
    classes = tuple(sorted(_named(labels, unknown), key=natural))
    lost = sorted(_named(listing.labels, listing.unknown) - set(classes), key=natural)
    gone = (f"no image of these classes could be read, so they are no classes: {shown(lost)}",) if lost else ()
    whole = Dataset(
        root=listing.root,
        files=_column(listing.files, rows),
        content=_objects([found.content for _, found in good]),
        sizes_px=np.array([found.size_px for _, found in good], dtype=np.int32).reshape(-1, 2),
        targets=_targets(labels, unknown, classes) if listing.task == "multi" else _indices(labels, classes),
        split=_column(listing.split, rows),
        group=_column(listing.group, rows),
        classes=classes,
        task=listing.task,
        metadata={name: _column(column, rows) for name, column in listing.metadata.items()},
        skipped=skipped,
        notes=listing.notes + gone + _contradictions(listing, good),
    )
    return _of_which_something_is_known(whole) if any(unknown) else whole


def _of_which_something_is_known(dataset: Dataset) -> Dataset:
    blank = (dataset.targets == UNKNOWN).all(axis=1)
    if not blank.any():
        return dataset
    note = f"nothing is known of {blank.sum():,} images, so they were left out: {shown(list(dataset.files[blank]))}"
    return replace(dataset.rows(~blank), notes=(*dataset.notes, note))


def _contradictions(listing: Listing, good: Sequence[tuple[int, _Seen]]) -> tuple[str, ...]:
    first: dict[str, int] = {}
    pairs = [
        f"{listing.files[earlier]} = {listing.files[row]}"
        for row, found in good
        if listing.labels[earlier := first.setdefault(found.content, row)] != listing.labels[row]
    ]
    return (f"byte-identical images with different labels: {len(pairs):,} ({shown(pairs)})",) if pairs else ()


def _named(labels: Sequence[tuple[str, ...]], unknown: Sequence[tuple[str, ...]]) -> set[str]:
    said, unsaid = ({name for names in cells for name in names} for cells in (labels, unknown))
    return said | unsaid - {EVERY_OTHER}


def _indices(labels: Sequence[tuple[str, ...]], classes: tuple[str, ...]) -> NDArray[np.int64]:
    index = {name: at for at, name in enumerate(classes)}
    return np.array([index[name] for (name,) in labels], dtype=np.int64)


def _targets(
    labels: Sequence[tuple[str, ...]], unknown: Sequence[tuple[str, ...]], classes: tuple[str, ...]
) -> NDArray[np.int8]:
    index = {name: at for at, name in enumerate(classes)}
    targets = np.zeros((len(labels), len(classes)), dtype=np.int8)
    for row, (names, unsaid) in enumerate(zip(labels, unknown)):
        targets[row] = UNKNOWN if EVERY_OTHER in unsaid else 0
        targets[row, [index[name] for name in unsaid if name != EVERY_OTHER]] = UNKNOWN
        targets[row, [index[name] for name in names]] = 1
    return targets


def _column(values: Sequence[str], rows: Sequence[int]) -> NDArray[np.object_]:
    return _objects([values[row] for row in rows])


def _objects(values: Sequence[str]) -> NDArray[np.object_]:
    column = np.empty(len(values), dtype=object)
    column[:] = values
    return column


def _unreadable(path: Path, skipped: Sequence[Skipped], total: int) -> DataError:
    first = skipped[0]
    what = (
        f"{len(skipped):,} of {total:,} images cannot be read; the first is {first.file}: "
        f"{first.unreadable.reason}, {first.unreadable.detail}"
    )
    return DataError(what, where=str(path), do="mend or remove them; without --strict the readable ones are used")


def _refuse_labels_never_trained(dataset: Dataset, path: Path) -> None:
    if dataset.task == "multi" or not (dataset.split == "train").any():
        return  # of several labels, one that training never saw takes no image with it: `divide` leaves it out
    known = dataset.rows((dataset.split == "train") | (dataset.split == "")).counts > 0
    for part in ("validation", "test"):
        counts = dataset.part(part).counts
        strangers = [f"{dataset.classes[at]} ({counts[at]})" for at in np.flatnonzero((counts > 0) & ~known)]
        if strangers:
            what = f"{part} has labels that training never saw, with so many images: {shown(strangers, 10)}"
            do = "add training images of them, or take them out; look for a class that is spelt in two ways"
            if dataset.skipped:
                first = dataset.skipped[0].file
                do = f"mend the {len(dataset.skipped):,} files that cannot be read, {first} first; or {do}"
            raise DataError(what, where=str(path), do=do)
