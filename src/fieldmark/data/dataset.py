"""A table of images as numpy columns, a row an image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fieldmark.data.picture import Unreadable

Task = Literal["single", "multi"]
SPLITS = ("train", "validation", "test")
UNKNOWN = -1  # as scikit-learn marks what is not labelled


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """A file that was left out, and why."""

    file: str
    unreadable: Unreadable


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """Images with their labels. N rows, C classes; columns are read-only arrays of length N.

    `files`     object (str): path relative to `root`, with forward slashes
    `content`   object (str): sha256 of the file's bytes, in hex; equal for byte-identical files
    `sizes_px`  int32 [N, 2]: width and height as a person sees them (after EXIF orientation)
    `targets`   single: int64 [N], index into `classes`; multi: int8 [N, C], 1 = has the label, 0 = has it not,
                UNKNOWN (-1) = nobody looked
    `split`     object (str): "train", "validation", "test", or "" where none was given
    `group`     object (str): rows of one group never stand on two sides of a split; "" = a group of its own
    `metadata`  any other columns, object (str)
    `skipped`   files that could not be read; `notes` other things worth saying, in words for a person
    """

    root: Path
    files: NDArray[np.object_]
    content: NDArray[np.object_]
    sizes_px: NDArray[np.int32]
    targets: NDArray[Any]
    split: NDArray[np.object_]
    group: NDArray[np.object_]
    classes: tuple[str, ...]
    task: Task
    metadata: Mapping[str, NDArray[np.object_]] = field(default_factory=dict)
    skipped: tuple[Skipped, ...] = ()
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        columns = (self.files, self.content, self.sizes_px, self.targets, self.split, self.group)
        for column in (*columns, *self.metadata.values()):
            column.setflags(write=False)

    def __len__(self) -> int:
        return len(self.files)

    def rows(self, which: NDArray[Any]) -> Dataset:
        """The rows chosen by a boolean mask or an index array; classes and notes stay."""
        return replace(
            self,
            files=self.files[which],
            content=self.content[which],
            sizes_px=self.sizes_px[which],
            targets=self.targets[which],
            split=self.split[which],
            group=self.group[which],
            metadata={name: column[which] for name, column in self.metadata.items()},
        )

    @property
    def counts(self) -> NDArray[np.int64]:
        """int64 [C]: how many images have each class."""
        if self.task == "single":
            return np.bincount(self.targets, minlength=len(self.classes))
        return np.asarray((self.targets == 1).sum(axis=0), dtype=np.int64)

    def part(self, split: str) -> Dataset:
        """The rows of one split."""
        return self.rows(self.split == split)

    def path(self, row: int) -> Path:
        return self.root / str(self.files[row])
