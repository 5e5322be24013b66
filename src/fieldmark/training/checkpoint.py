"""Where a training run stands, on disk: tensors as safetensors, the rest as JSON. No pickle.

A checkpoint is a folder `checkpoint-00001234` (its step), written beside and renamed into place: whole, or not there.
The newest two are kept; each names the checksum of its tensors, so that damage is seen and the one before it used.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from pathlib import Path

import msgspec
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from fieldmark.data.writing import writing_folder
from fieldmark.errors import UsageError
from fieldmark.report.report import Epoch
from fieldmark.training.logbook import Mark
from fieldmark.training.plan import Plan

TENSORS, STANDING = "tensors.safetensors", "standing.json"
KEPT = 2


class Standing(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything of a run but its tensors, between two steps. `loss_sum` is of the epoch that is under way;
    random numbers need no state, since they are drawn from (seed, epoch, step)."""

    plan: Plan
    fingerprint: str
    step: int = 0
    loss_sum: float = 0.0
    epoch_s: float = 0.0
    epochs: tuple[Epoch, ...] = ()
    best_epoch: int = 0
    notes: tuple[str, ...] = ()
    log: Mark = Mark()


class _Stored(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    schema: int = 1
    tensors_sha256: str
    standing: Standing


def save(run_folder: Path, standing: Standing, tensors: Mapping[str, Tensor]) -> None:
    """Write one checkpoint and drop all but the newest two. OutputError where the disk will not take it."""
    final = run_folder / f"checkpoint-{standing.step:08d}"
    with writing_folder(final, what="the checkpoint", do="free some space, then continue with --resume") as draft:
        try:
            save_file({name: value.detach().cpu().contiguous() for name, value in tensors.items()}, draft / TENSORS)
        except SafetensorError as error:  # its word for what the disk refuses
            raise OSError(str(error)) from error
        stored = _Stored(tensors_sha256=_sha256(draft / TENSORS), standing=standing)
        (draft / STANDING).write_bytes(msgspec.json.encode(stored))
    for old in _newest_first(run_folder)[KEPT:]:
        shutil.rmtree(old, ignore_errors=True)


def load(run_folder: Path) -> tuple[Standing, dict[str, Tensor]]:
    """The newest checkpoint that is whole; what was passed over is in its notes. UsageError where there is none."""
    damaged: list[str] = []
    for folder in _newest_first(run_folder):
        try:
            stored = msgspec.json.decode((folder / STANDING).read_bytes(), type=_Stored)
            if _sha256(folder / TENSORS) != stored.tensors_sha256:
                raise ValueError("its tensors do not match their checksum")
            notes = tuple(f"checkpoint {passed}; the one before it was used" for passed in damaged)
            standing = msgspec.structs.replace(stored.standing, notes=stored.standing.notes + notes)
            return standing, load_file(folder / TENSORS)
        except (OSError, ValueError, msgspec.MsgspecError, SafetensorError) as error:
            damaged.append(f"{folder.name} is damaged ({error})")
    raise UsageError(
        "no checkpoint to resume from" + "".join(f"; {passed}" for passed in damaged),
        where=str(run_folder),
        do="start again without --resume",
    )


def exists(run_folder: Path) -> bool:
    """Whether a run has left a checkpoint here, whole or damaged."""
    return bool(_newest_first(run_folder))


def _newest_first(run_folder: Path) -> list[Path]:
    return sorted(run_folder.glob("checkpoint-*"), reverse=True)


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
