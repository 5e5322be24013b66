"""What a format is: how it is recognised, read, and (where that makes sense) written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from fieldmark.data.dataset import Dataset
from fieldmark.data.listing import Listing
from fieldmark.table import Table

Reader = Callable[[Path, Mapping[str, str], Path | None], Listing]
Writer = Callable[[Dataset, Path], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class FormatRow:
    """A format of labelled images.

    `sniff`  says at a glance (name, kind of file, names in a folder) whether a path is of this format; no two agree
    `read`   (path, columns, root) -> Listing; DataError where it cannot be used
    `write`  (dataset, path): such that reading it back with `root=dataset.root` gives the same rows, labels, split,
             group and metadata; classes without a row are not held. None where writing would mean to move images
    """

    sniff: Callable[[Path], bool]
    read: Reader
    write: Writer | None


FORMATS: Table[FormatRow] = Table.folder("format", "fieldmark.data.formats")
