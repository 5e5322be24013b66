"""What the words after `predict BUNDLE` stand for: files, folders, globs, standard input."""

from __future__ import annotations

import glob
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from fieldmark.data.signatures import PICTURE_SUFFIXES
from fieldmark.errors import DataError, UsageError

# What an image on standard input begins with; a list of paths begins otherwise.
IMAGE_BEGINNINGS = (b"\xff\xd8", b"\x89PNG", b"GIF8", b"RIFF", b"BM", b"II*\0", b"MM\0*", b"\0\0\0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """`alone` is the one image that was asked about (a path, or its bytes); otherwise `words` are walked."""

    alone: Path | bytes | None
    words: tuple[str, ...]

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
    if not path.is_dir():
        yield path
        return
    for folder, folders, files in os.walk(path):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if not name.startswith(".") and Path(name).suffix.lower() in PICTURE_SUFFIXES:
                yield Path(folder, name)


def _listed() -> Iterator[Path]:
    # `find -print0` ends names by NUL, everything else by a line end.
    for line in sys.stdin.buffer:
        for name in line.rstrip(b"\r\n").split(b"\0"):
            if name.strip():
                yield Path(os.fsdecode(name))
