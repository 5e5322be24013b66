"""Every picture decoded once, for all runs: what the geometry makes of it is kept by the content of its file.

Two runs, two splits of a folder, two sets with images in common share what is decoded. What has no room is decoded
again whenever it is needed; nothing but the time depends on it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path

import msgspec
import numpy as np
import PIL
from PIL import features

import fieldmark.data
from fieldmark.cores import available_cores
from fieldmark.data.dataset import Dataset, Skipped
from fieldmark.data.geometry import Geometry
from fieldmark.data.loading import load_many
from fieldmark.data.overlapping import in_order
from fieldmark.data.picture import Reason, Unreadable
from fieldmark.progress import Progress, silent
from fieldmark.training.blocks import SUFFIX, Block, Damaged, Footer, open_block, read_footer
from fieldmark.training.cache_folder import make_room, room_for
from fieldmark.training.keeping import MOST_BLOCKS, Keeper, Known
from fieldmark.training.pixels import NOT_KEPT, CachedPixels

# The file is to blame, and not its content: another file of the same bytes may be read.
_OF_THE_FILE = (Reason.MISSING, Reason.NOT_READABLE, Reason.CHANGED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cached:
    """`pixels` of the rows of `data` that can be decoded; the others were added to its `skipped`, and what a person
    should know of the cache to its `notes`."""

    pixels: CachedPixels
    data: Dataset


def cache_pixels(
    data: Dataset, geometry: Geometry, *, size: str = "auto", threads: int | None = None, progress: Progress = silent
) -> Cached:
    """Decode every file of `data` whose pixels are not kept yet, and keep them where there is room.

    `size` bounds the whole cache, as `--cache-size` does. A disk that is full or may not be written, a block that is
    damaged: a note, and slower, but never other pixels. UsageError where `size` is none.
    """
    room, known, notes = room_for(size), Known(), list[str]()
    home = room.folder / _made_by(geometry)
    threads = threads or available_cores()
    if not room.closed:
        notes = _open_kept(home, room.limit, data, known, geometry.size_px, threads, progress)
        make_room(room.folder, room.limit)
    with Keeper(known, room, home, geometry.size_px, len(set(data.content))) as keeper:
        gone = _decode_the_rest(data, geometry, known, keeper, threads, progress)
    return _cached(data, geometry, known, gone, notes, keeper.full)


def _made_by(geometry: Geometry) -> str:
    """A name for all that decides what a file's bytes become: geometry, Pillow and its libraries, our own code."""
    libraries = {name: features.version(name) for name in ("jpg", "libjpeg_turbo", "webp", "avif", "libtiff")}
    code = [file.read_bytes() for file in sorted(Path(fieldmark.data.__file__).parent.glob("*.py"))]
    text = msgspec.json.encode([geometry, PIL.__version__, libraries, hashlib.sha256(b"".join(code)).hexdigest()])
    return hashlib.sha256(text).hexdigest()[:32]


def _open_kept(
    home: Path, limit: int, data: Dataset, known: Known, side_px: int, threads: int, progress: Progress
) -> list[str]:
    """Enter into `known` what blocks hold of these images. Damaged ones are removed; a note for each is returned."""
    damaged: list[Damaged] = []
    footers: dict[Path, Footer] = {}
    for file in sorted(home.glob("*" + SUFFIX)):
        match read_footer(file, side_px):
            case Footer() as footer:
                footers[file] = footer
            case Damaged() as fault:
                damaged.append(fault)
    useful = _fewest(footers, set(data.content))
    taken = accumulate(len(footers[file].content) * 3 * side_px**2 for file in useful)
    useful = [file for file, size in zip(useful, taken) if size <= limit]  # the room of the others is wanted back

    def look(file: Path) -> Block | Damaged | None:
        return open_block(file, footers[file], side_px)

    with closing(in_order(look, useful, threads=threads, ahead=2 * threads)) as blocks:
        for done, block in enumerate(blocks, start=1):
            match block:
                case Block():
                    known.add(block)
                case Damaged():
                    damaged.append(block)
            progress("check decoded images", done, len(useful))
    for fault in damaged:
        with suppress(OSError):  # in a cache that may only be read it stays, unused
            fault.file.unlink()
    return [f"the pixel cache was damaged, and images are decoded anew: {f.file.name}: {f.why}" for f in damaged]


def _fewest(footers: Mapping[Path, Footer], wanted: set[str]) -> list[Path]:
    """Blocks that tell something of the wanted images, those with the most of them first. Of more than MOST_BLOCKS
    the smaller ones are left, so that their images, which came a few a run, come together in a new one."""
    held = {file: wanted.intersection(footer.content) for file, footer in footers.items()}
    missing, useful = set(wanted), []
    for file in sorted(footers, key=lambda file: -len(held[file])):
        footer = footers[file]
        if not all(missing.isdisjoint(told) for told in (held[file], footer.unreadable, footer.readable)):
            useful.append(file)
            missing -= held[file] | footer.unreadable.keys()
    return useful if len(useful) <= MOST_BLOCKS else useful[: MOST_BLOCKS // 2]


def _decode_the_rest(
    data: Dataset, geometry: Geometry, known: Known, keeper: Keeper, threads: int, progress: Progress
) -> dict[int, Unreadable]:
    """Decode every image of which nothing is known, so that what cannot be decoded is known before training begins.
    Returns why rows cannot be used whose file, and not its content, is to blame."""
    gone: dict[int, Unreadable] = {}
    while rows := _to_decode(data, known, keeper, gone):
        keeper.expect(len(rows))
        if keeper.full and data.content[rows[0]] in known.readable:
            break
        content = data.content[rows].tolist()
        loaded = load_many([data.path(row) for row in rows], geometry, content=content, threads=threads)
        for done, (row, name, image) in enumerate(zip(rows, content, loaded), start=1):
            if keeper.full and name in known.readable:
                break  # as are all that follow
            if not isinstance(image, Unreadable):
                keeper.keep(name, image)
            elif image.reason in _OF_THE_FILE:
                gone[row] = image
            else:
                keeper.refuse(name, image)
            progress("read images", done, len(rows))
        keeper.finish()
    return gone


def _to_decode(data: Dataset, known: Known, keeper: Keeper, gone: Mapping[int, Unreadable]) -> list[int]:
    """A row of each content that is neither kept nor known to be beyond decoding; those that can be decoded, and are
    only to be kept, last, and not where nothing more is kept."""
    first: dict[str, int] = {}
    for row, name in enumerate(data.content):
        settled = name in known.place or name in known.unreadable or (keeper.full and name in known.readable)
        if not settled and row not in gone:
            first.setdefault(name, row)
    return sorted(first.values(), key=lambda row: data.content[row] in known.readable)


def _cached(
    data: Dataset, geometry: Geometry, known: Known, gone: Mapping[int, Unreadable], notes: list[str], full: str
) -> Cached:
    why = dict(gone) | {row: known.unreadable[c] for row, c in enumerate(data.content) if c in known.unreadable}
    skipped = tuple(Skipped(file=str(data.files[row]), unreadable=why[row]) for row in sorted(why))
    kept = data.rows(np.array([row for row in range(len(data)) if row not in why], np.int64))
    places = np.array([known.place.get(name, (NOT_KEPT, 0)) for name in kept.content], np.int64).reshape(-1, 2)
    anew = int((places[:, 0] == NOT_KEPT).sum())
    if anew:
        notes.append(
            f"{anew:,} of {len(kept):,} images are decoded whenever they are needed, which is slower and changes "
            f"nothing else: {full}"
        )
    data = replace(kept, skipped=data.skipped + skipped, notes=(*data.notes, *notes))
    pixels = CachedPixels(
        data=data,
        geometry=geometry,
        blocks=tuple(known.blocks),
        block=places[:, 0].astype(np.int32),
        place=places[:, 1],
    )
    return Cached(pixels=pixels, data=data)
