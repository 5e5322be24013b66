"""Checkpoints: whole or not there, damage seen, the one before it used."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
import torch

import makers_training as make
from fieldmark.errors import OutputError, UsageError
from fieldmark.training import checkpoint
from fieldmark.training.checkpoint import Standing


def standing(step: int) -> Standing:
    return Standing(plan=make.PLAN, fingerprint="abc", step=step, loss_sum=0.1 + 0.2, epoch_s=1 / 3)


def saved(folder: Path, *steps: int) -> Path:
    for step in steps:
        checkpoint.save(folder, standing(step), {"model.w": torch.full((2, 3), float(step))})
    return folder


def test_what_is_saved_is_what_is_loaded(tmp_path):
    kinds = {
        "model.a": torch.randn(4, 3, 2, 2).to(memory_format=torch.channels_last),
        "model.n": torch.tensor(7),
        "best.h": torch.randn(3, dtype=torch.bfloat16),
        "optimiser.0.step": torch.tensor(3.0),
    }
    checkpoint.save(tmp_path, standing(5), kinds)
    found, tensors = checkpoint.load(tmp_path)
    assert found == standing(5)
    assert tensors.keys() == kinds.keys()
    assert all(torch.equal(tensors[name], kinds[name]) and tensors[name].dtype == kinds[name].dtype for name in kinds)


def test_the_newest_two_are_kept(tmp_path):
    saved(tmp_path, 1, 2, 3, 10)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint-00000003", "checkpoint-00000010"]
    assert checkpoint.load(tmp_path)[0].step == 10


def damage_truncate(folder: Path) -> None:
    file = folder / "tensors.safetensors"
    file.write_bytes(file.read_bytes()[:-1])


def damage_flip(folder: Path) -> None:
    file = folder / "tensors.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(bytes(content))


def damage_json(folder: Path) -> None:
    (folder / "standing.json").write_text("{")


def damage_missing(folder: Path) -> None:
    (folder / "tensors.safetensors").unlink()


damages = pytest.mark.parametrize("damage", [damage_truncate, damage_flip, damage_json, damage_missing])


@damages
def test_a_damaged_one_is_named_and_the_one_before_it_used(tmp_path, damage):
    saved(tmp_path, 1, 2)
    damage(tmp_path / "checkpoint-00000002")
    found, tensors = checkpoint.load(tmp_path)
    assert found.step == 1 and tensors["model.w"][0, 0] == 1.0
    assert "checkpoint-00000002 is damaged" in found.notes[0]


@damages
def test_when_all_are_damaged_it_is_an_error(tmp_path, damage):
    saved(tmp_path, 1)
    damage(tmp_path / "checkpoint-00000001")
    with pytest.raises(UsageError, match="damaged"):
        checkpoint.load(tmp_path)


def test_a_full_disk_leaves_the_one_before_and_nothing_half_written(tmp_path, monkeypatch):
    saved(tmp_path, 1)

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("fieldmark.data.writing.os.fsync", full)
    with pytest.raises(OutputError, match="No space left"):
        saved(tmp_path, 2)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-00000001"]
    assert checkpoint.load(tmp_path)[0].step == 1


def test_a_draft_that_was_left_behind_is_no_checkpoint(tmp_path):
    (tmp_path / ".writing-checkpoint-00000009").mkdir()
    assert not checkpoint.exists(tmp_path)
    saved(tmp_path, 9)
    assert checkpoint.load(tmp_path)[0].step == 9
