"""Training that cannot be: a clear error in three parts before any work is lost, and nothing half written."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import save_file
from torch import Tensor

import fieldmark as library
from fieldmark.encoders.building import encoder_row
from fieldmark.errors import OutOfTime
from makers import assert_clear, fieldmark, photo, photo_folder, refused, truncated_jpeg

LENET = ("--model", "lenet", "--size", "32", "--epochs", "2", "--batch", "16")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return photo_folder(tmp_path_factory.mktemp("small") / "small", per_class=24, size=(32, 32))


@pytest.mark.parametrize(
    ("words", "word"),
    [
        (("--model", "lenet", "--size", "32", "--budget", "5s"), "next to none for training"),
        (("--model", "hog", "--budget", "1s"), "used up"),
        ((*LENET[:-1], "4096"), "larger than the"),
        ((*LENET, "--learning-rate", "1e30"), "a smaller --learning-rate"),
    ],
    ids=["no time for a network", "no time for a probe", "batch larger than the data", "learning rate"],
)
def test_settings_with_which_nothing_could_be_learnt(
    words: tuple[str, ...], word: str, small: Path, tmp_path: Path
) -> None:
    assert_clear(fieldmark("train", small, *words, "--out", "x.fieldmark", cwd=tmp_path), word)
    assert not (tmp_path / "x.fieldmark").exists()


def test_a_budget_counts_from_where_the_command_began(small: Path, tmp_path: Path) -> None:
    """Reading 60,000 images took 8 s that no budget knew of."""
    recipe = library.Recipe(model="lenet", size="32", budget="10m")
    with pytest.raises(OutOfTime, match="next to none"):
        library.train(small, out=tmp_path / "x.fieldmark", recipe=recipe, begun=time.monotonic() - 600)


def test_the_command_tells_when_it_began(small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = importlib.import_module("fieldmark.cli.train")
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: time.monotonic() - 600))
    words = [str(small), "--model", "lenet", "--budget", "10m", "--out", str(tmp_path / "x.fieldmark")]
    assert isinstance(CliRunner().invoke(module.command, words).exception, OutOfTime)


def _first_filters(tensors: dict[str, Tensor]) -> str:
    return next(name for name, tensor in tensors.items() if tensor.ndim == 4 and tensor.shape[-1] > 1)


def not_numbers(tensors: dict[str, Tensor]) -> None:
    tensors[_first_filters(tensors)][0] = float("nan")


def infinite(tensors: dict[str, Tensor]) -> None:
    tensors[_first_filters(tensors)][0] = float("inf")


def grey(tensors: dict[str, Tensor]) -> None:
    name = _first_filters(tensors)
    tensors[name] = tensors[name].sum(1, keepdim=True)


def four_channels(tensors: dict[str, Tensor]) -> None:
    name = _first_filters(tensors)
    tensors[name] = torch.cat([tensors[name], tensors[name][:, :1]], dim=1)


def wider(tensors: dict[str, Tensor]) -> None:
    name = _first_filters(tensors)
    tensors[name] = torch.cat([tensors[name], tensors[name]])


WEIGHTS: list[tuple[Callable[[dict[str, Tensor]], None], str]] = [
    (not_numbers, "no numbers"),
    (infinite, "no numbers"),
    (grey, "made for grey images"),
    (four_channels, "4 channels"),
    (wider, "do not fit"),
]


@pytest.mark.parametrize(("spoil", "word"), WEIGHTS, ids=[spoil.__name__ for spoil, _ in WEIGHTS])
def test_weights_that_cannot_be_started_from(
    spoil: Callable[[dict[str, Tensor]], None], word: str, small: Path, tmp_path: Path
) -> None:
    tensors = {name: tensor.clone() for name, tensor in encoder_row("lenet").build(32).state_dict().items()}
    spoil(tensors)
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, tmp_path / "w.safetensors")
    words = (*LENET, "--method", "network", "--weights", "w.safetensors")
    assert_clear(refused("train", small, *words, "--out", "x.fieldmark", cwd=tmp_path), word, "w.safetensors")
    assert [path.name for path in tmp_path.iterdir()] == ["w.safetensors"]


def _unreadable_class(root: Path, count: int) -> None:
    """Files whose header promises a picture and whose pixels are cut off: seen when they are decoded, not before."""
    root.mkdir(parents=True)
    for number in range(count):
        truncated_jpeg(root / f"{number}.jpg")
        with (root / f"{number}.jpg").open("ab") as file:
            file.write(bytes([number]))


def test_all_labels_alike_once_unreadable_files_are_left_out(tmp_path: Path) -> None:
    photo_folder(tmp_path / "data", per_class=12, classes=("red",))
    _unreadable_class(tmp_path / "data" / "blue", 12)
    done = fieldmark("train", "data", "--model", "colour", "--out", "x.fieldmark", cwd=tmp_path)
    assert_clear(done, "same label")
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_a_class_whose_training_files_cannot_be_read(tmp_path: Path) -> None:
    for part in ("train", "test"):
        photo_folder(tmp_path / "data" / part, per_class=8, classes=("red", "green"))
    _unreadable_class(tmp_path / "data" / "train" / "blue", 8)
    (tmp_path / "data" / "test" / "blue").mkdir()
    for number in range(3):
        photo("blue", number).save(tmp_path / "data" / "test" / "blue" / f"{number}.jpg")
    done = fieldmark("train", "data", "--model", "colour", "--out", "x.fieldmark", cwd=tmp_path)
    assert_clear(done, "blue (3)", "8 files that cannot be read")
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_an_older_bundle_stays_when_training_fails(small: Path, tmp_path: Path) -> None:
    words = ("train", small, "--model", "colour", "--out", "x.fieldmark")
    assert fieldmark(*words, cwd=tmp_path).returncode == 0
    before = (tmp_path / "x.fieldmark" / "SHA256SUMS").read_bytes()
    failed = fieldmark("train", small, *LENET, "--learning-rate", "1e30", "--out", "x.fieldmark", cwd=tmp_path)
    assert_clear(failed, "ran away")
    assert (tmp_path / "x.fieldmark" / "SHA256SUMS").read_bytes() == before
    assert library.load(tmp_path / "x.fieldmark").bundle.manifest.model == "colour"
