"""What the words after `predict BUNDLE` stand for: files, folders, globs, standard input."""

from __future__ import annotations

import glob
import io
import os
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from fieldmark.cli.names import in_sorted_order
from fieldmark.data.signatures import PICTURE_SUFFIXES
from fieldmark.errors import DataError, UsageError

# What an image on standard input begins with; a list of paths begins otherwise.
IMAGE_BEGINNINGS = (b"\xff\xd8", b"\x89PNG", b"GIF8", b"RIFF", b"BM", b"II*\0", b"MM\0*", b"\0\0\0")

_NAME_ENDS = re.compile(rb"[\0\n]")
_BLOCK = 2**16


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """`alone` is the one image that was asked about (a path, or its bytes); otherwise `words` are walked."""

    alone: Path | bytes | None
    words: tuple[str, ...]

    @property
    def countable(self) -> bool:
        """Whether the paths can be walked more than once."""
        return self.words != ("-",)

    def paths(self) -> Iterator[Path]:
        """Every image, folder by folder, as it is needed."""
        for word in self.words:
            yield from _listed() if word == "-" else _walked(Path(word))


def find_sources(words: Sequence[str]) -> Sources:
    """Raises DataError for a path or pattern that matches nothing, before any work is done."""
    if list(words) == ["-"]:
        head = sys.stdin.buffer.peek(4) if hasattr(sys.stdin.buffer, "peek") else b""
        if head.startswith(IMAGE_BEGINNINGS):
            return Sources(alone=sys.stdin.buffer.read(), words=())
        return Sources(alone=None, words=("-",))
    if "-" in words:
        raise UsageError("standard input stands alone", where="-", do="give either - or paths")
    found = tuple(match for word in words for match in _matches(word))
    only = Path(found[0]) if len(found) == 1 else None
    return Sources(alone=only if only is not None and not only.is_dir() else None, words=found)


def _matches(word: str) -> list[str]:
    if Path(word).exists():
        return [word]
    matches = sorted(glob.iglob(word, recursive=True)) if glob.has_magic(word) else []  # noqa: PTH207  (absolute patterns)
    if not matches:
        what = "nothing matches" if glob.has_magic(word) else "there is no such file or folder"
        raise DataError(what, where=word, do="check the spelling and the folder that you are in")
    return matches


def _walked(path: Path) -> Iterator[Path]:
    """A folder's pictures by name, then those of its folders, by name too; a million in one folder are no more in
    memory than a few."""
    if not path.is_dir():
        yield path
        return
    folders = [path]
    while folders:
        folder = folders.pop()
        inner: list[str] = []
        for name in in_sorted_order(_pictures(folder, inner)):
            yield folder / name if name else folder
        folders += [folder / name for name in sorted(inner, reverse=True)]


def _pictures(folder: Path, inner: list[str]) -> Iterator[str]:
    """The names of the folder's pictures; those of its folders go into `inner`. Hidden ones are passed over."""
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if entry.is_dir():
                    inner += [] if entry.is_symlink() else [entry.name]
                elif Path(entry.name).suffix.lower() in PICTURE_SUFFIXES:
                    yield entry.name
    except OSError:  # it may not be read: the folder itself stands in the answers, with that as its reason
        yield ""


def _listed() -> Iterator[Path]:
    # `find -print0` ends names by NUL, everything else by a line end.
    stream, rest = cast(io.BufferedReader, sys.stdin.buffer), b""
    while block := stream.read1(_BLOCK):
        *names, rest = _NAME_ENDS.split(rest + block)
        yield from _named(names)
    yield from _named([rest])


def _named(names: Iterable[bytes]) -> Iterator[Path]:
    return (Path(os.fsdecode(name.rstrip(b"\r"))) for name in names if name.strip())
