"""What was measured on this machine, kept in the user's cache: a second's work is done once for each graph."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec

from fieldmark.caches import cache_folder
from fieldmark.data.writing import writing_whole
from fieldmark.errors import OutputError
from fieldmark.inference.execution import Execution

KIND = "execution-rates"  # of whole work; what older ones kept in "executions" was up to twofold wrong
_MAX_BYTES = 2**20


class Circumstances(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All that decides which execution is fastest: the graph's sha256, the processor and its cores that we may use,
    the runner and its version."""

    graph: str
    processor: str
    cores: int
    runner: str
    version: str


class Measured(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One candidate and its figure: images per second, from files to answers."""

    execution: Execution
    images_per_s: float


class _Kept(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    circumstances: Circumstances
    measured: tuple[Measured, ...]


def recall(circumstances: Circumstances) -> tuple[Measured, ...]:
    """What was measured in these circumstances; empty where nothing was, or nothing whole is left of it."""
    try:
        file = _file(circumstances)
        with file.open("rb") as stream:
            kept = msgspec.json.decode(stream.read(_MAX_BYTES), type=_Kept)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ()
    return kept.measured if kept.circumstances == circumstances else ()


def remember(circumstances: Circumstances, measured: tuple[Measured, ...]) -> str:
    """Keeps it for `recall`. Why it could not be kept, in words; empty where it was."""
    try:
        file = _file(circumstances)
        file.parent.mkdir(parents=True, exist_ok=True)
        with writing_whole(file) as stream:
            stream.write(msgspec.json.encode(_Kept(circumstances=circumstances, measured=measured)))
    except OSError as error:
        return f"there is no folder for it: {error}"
    except OutputError as error:
        return error.where
    return ""


def _file(circumstances: Circumstances) -> Path:
    name = hashlib.sha256(msgspec.json.encode(circumstances)).hexdigest()
    return cache_folder(KIND) / f"{name[:32]}.json"
