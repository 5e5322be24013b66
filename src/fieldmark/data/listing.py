"""What a reader found, before any image was opened: names and labels, a row an image."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fieldmark.data.dataset import Task

# The usual names of the three parts, in folders and in a `split` column; compared without case.
SPLIT_WORDS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validation", "valid", "val", "dev"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}
EVERY_OTHER = "*"
_DIGITS = re.compile(r"(\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """Columns of equal length. `files` are relative to `root` with forward slashes; a row of a single-label task has
    exactly one label; `split` is one of SPLITS or ""; `group` "" is a group of its own. `unknown` (multi; empty where
    all is known) names labels that nobody looked for in the image; EVERY_OTHER stands for all that it does not have.
    """

    root: Path
    task: Task
    files: Sequence[str]
    labels: Sequence[tuple[str, ...]]
    split: Sequence[str]
    group: Sequence[str]
    unknown: Sequence[tuple[str, ...]] = ()
    metadata: dict[str, Sequence[str]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def natural(name: str) -> tuple[list[tuple[int, int, str]], str]:
    """A key that sorts `img2` before `img10`, the same on every file system."""
    parts = _DIGITS.split(nfc(name).casefold())
    return [(1, int(part), "") if part.isdecimal() and part.isascii() else (0, 0, part) for part in parts], name


def nfc(name: str) -> str:
    """One spelling for names that look the same: macOS writes é as two characters, others as one."""
    return unicodedata.normalize("NFC", name)


def shown(names: Sequence[str], most: int = 3) -> str:
    """The first few names, and how many more there are."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
