"""SHA256SUMS: one line a file, as `sha256sum -c SHA256SUMS` reads it. It covers every file but itself."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from pathlib import Path

from fieldmark.bundle.layout import SUMS, inside, is_plain
from fieldmark.errors import BundleError

_LINE = re.compile(r"([0-9a-f]{64}) [ *](.+)")
_MAX_BYTES = 16 * 2**20
AGAIN = "copy or download the bundle again; it is not as it was written"


def sha256_of(path: Path) -> str:
    """sha256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_sums(folder: Path) -> None:
    """Lists every file under `folder`. Each is flushed to the disk first: a full disk may say so only then."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / SUMS)
    lines = []
    for path in files:
        name = path.relative_to(folder).as_posix()
        if not is_plain(name):
            raise ValueError(f"a bundle cannot hold a file named {name!r}")
        _flush(path)
        lines.append(f"{sha256_of(path)}  {name}\n")
    (folder / SUMS).write_text("".join(lines), encoding="utf-8")
    _flush(folder / SUMS)


def read_sums(folder: Path) -> dict[str, str]:
    """File name -> sha256 as SHA256SUMS lists them.

    Raises BundleError for a line that is not `sha256  name`, a name listed twice, or a name that leads out of
    the folder.
    """
    path = folder / SUMS
    if not path.is_file():
        raise BundleError(f"the bundle has no {SUMS}", where=str(folder), do=AGAIN)
    if path.stat().st_size > _MAX_BYTES:
        raise BundleError(f"{SUMS} is larger than {_MAX_BYTES} bytes", where=str(path), do=AGAIN)
    sums: dict[str, str] = {}
    for number, line in enumerate(path.read_bytes().decode("utf-8", "replace").splitlines(), 1):
        where = f"{path}, line {number}"
        match = _LINE.fullmatch(line)
        if match is None:
            raise BundleError("this line is not `sha256  name`", where=where, do=AGAIN)
        digest, name = match.groups()
        if name in sums or name == SUMS:
            raise BundleError(f"{name} must not be listed here (again)", where=where, do=AGAIN)
        if inside(folder, name) is None:
            raise BundleError(
                f"{name!r} leads out of the bundle's folder",
                where=where,
                do="do not use this bundle unless you know why; if it is a link of your own, copy with `cp -rL`",
            )
        sums[name] = digest
    return sums


def verify(folder: Path, sums: Mapping[str, str]) -> None:
    """Raises BundleError for the first listed file that is missing or altered; other files are not looked at."""
    for name, digest in sums.items():
        path = folder / name
        if not path.is_file():
            raise BundleError(f"the bundle's file {name} is missing", where=str(path), do=AGAIN)
        if sha256_of(path) != digest:
            raise BundleError(
                f"the bundle's file {name} was altered: its checksum is not the one in {SUMS}",
                where=str(path),
                do=f"{AGAIN}. If you changed it on purpose, write its new `sha256sum` into {SUMS}",
            )


def _flush(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())
