"""Where starting weights come from, in which order, and what is refused."""

import hashlib
import pickle

import pytest
import safetensors.torch
import torch
from torch import nn

from fieldmark.bundle.schema import Weights
from fieldmark.encoders.encoder import Encoder
from fieldmark.encoders.weights import load_weights, weights_available
from fieldmark.encoders.zoo import zoo_names, zoo_row
from fieldmark.errors import UnknownName, UsageError, WeightsError


class Small(Encoder):
    embedding_size = 2

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 2)


def _tensors(seed: int = 1) -> dict[str, torch.Tensor]:
    torch.manual_seed(seed)
    return Small().state_dict()


def _same(encoder: Encoder, tensors: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(tensor, tensors[name]) for name, tensor in encoder.state_dict().items())


def test_none_and_nothing_published_are_from_scratch():
    encoder, before = Small(), None
    before = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    assert load_weights(encoder, "small", "none") == load_weights(encoder, None, "auto") == Weights(source="none")
    assert _same(encoder, before)
    assert weights_available(None) is None


@pytest.mark.parametrize("suffix", [".safetensors", ".pth", ".pt"])
def test_a_file_is_loaded_and_written_down(tmp_path, suffix):
    file, tensors = tmp_path / f"mine{suffix}", _tensors()
    if suffix == ".safetensors":
        safetensors.torch.save_file(tensors, file)
    else:
        torch.save(tensors, file)
    encoder = Small()
    weights = load_weights(encoder, None, str(file))
    assert _same(encoder, tensors)
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    assert weights == Weights(source=f"file mine{suffix}", licence="not stated", sha256=sha256)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda tensors: {"state_dict": tensors, "epoch": 3},
        lambda tensors: {"model": {f"module.{name}": tensor for name, tensor in tensors.items()}},
        lambda tensors: {f"_orig_mod.{name}": tensor for name, tensor in tensors.items()},
        lambda tensors: (
            {f"encoder.{name}": tensor for name, tensor in tensors.items()} | {"head.bias": torch.ones(9)}
        ),
    ],
    ids=["checkpoint", "wrapped in parallel", "compiled", "a bundle's own"],
)
def test_the_usual_wrappings_are_taken_off(tmp_path, wrap):
    torch.save(wrap(_tensors()), tmp_path / "mine.pth")
    encoder = Small()
    load_weights(encoder, None, str(tmp_path / "mine.pth"))
    assert _same(encoder, _tensors())


def test_a_classifier_of_other_classes_is_dropped_and_said(tmp_path):
    safetensors.torch.save_file(_tensors() | {"fc.weight": torch.ones(7, 2)}, tmp_path / "mine.safetensors")
    assert load_weights(Small(), None, str(tmp_path / "mine.safetensors")).dropped == ("fc.weight",)


def test_the_licence_is_the_files_own_or_the_one_beside_it(tmp_path):
    safetensors.torch.save_file(_tensors(), tmp_path / "a.safetensors", metadata={"license": "MIT"})
    assert load_weights(Small(), None, str(tmp_path / "a.safetensors")).licence == "MIT"
    (tmp_path / "a.licence").write_text("CC-BY-4.0\nas told by its author\n")
    assert load_weights(Small(), None, str(tmp_path / "a.safetensors")).licence == "CC-BY-4.0"


def test_the_folder_comes_before_the_package(tmp_path, monkeypatch):
    name = "tf_efficientnet_lite0"
    assert weights_available(name).startswith("pip package")
    monkeypatch.setenv("FIELDMARK_WEIGHTS", str(tmp_path))
    assert weights_available(name).startswith("pip package")
    torch.manual_seed(2)
    own = zoo_row(name).build(64).backbone().state_dict()
    safetensors.torch.save_file(own, tmp_path / f"{name}.safetensors")
    assert weights_available(name) == f"file {name}.safetensors"
    encoder = zoo_row(name).build(64)
    assert load_weights(encoder, name, "auto").source == f"file {name}.safetensors"
    assert _same(encoder.backbone(), own)


def test_offline_the_error_says_what_to_do():
    encoder = zoo_row("test_resnet").build(64)
    with pytest.raises(WeightsError) as caught:
        load_weights(encoder, "test_resnet", "auto")
    assert "HF_HUB_OFFLINE is set" in caught.value.what
    assert all(remedy in caught.value.do for remedy in ("FIELDMARK_WEIGHTS", "--weights FILE", "--weights none"))
    assert weights_available("test_resnet") is None


def _refused(tmp_path, file: str, expected: str) -> None:
    """Refused with these words, and the encoder as it was."""
    encoder = Small()
    before = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    with pytest.raises(WeightsError, match=expected) as caught:
        load_weights(encoder, None, str(tmp_path / file))
    assert caught.value.where == str(tmp_path / file) and caught.value.do
    assert _same(encoder, before)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda tensors: tensors.pop("layer.bias"), "'layer.bias' is missing"),
        (lambda tensors: tensors.update({"layer.weight": torch.ones(5, 3)}), r"\[5, 3\] in the file and \[2, 3\]"),
        (lambda tensors: tensors.update({"other.weight": torch.ones(2)}), "'other.weight' of the file has no place"),
    ],
    ids=["missing", "other shape", "left over"],
)
def test_tensors_that_do_not_fit_are_named(tmp_path, change, expected):
    tensors = _tensors()
    change(tensors)
    safetensors.torch.save_file(tensors, tmp_path / "mine.safetensors")
    _refused(tmp_path, "mine.safetensors", expected)


class _Trap:
    """What unpickling would run."""

    def __init__(self, tell) -> None:
        self.tell = tell

    def __reduce__(self):
        return (open, (str(self.tell), "w"))


def test_a_file_that_would_run_code_is_not_read(tmp_path):
    torch.save({"layer.bias": _Trap(tmp_path / "ran")}, tmp_path / "mine.pth")
    _refused(tmp_path, "mine.pth", "could run code")
    (tmp_path / "bare.pth").write_bytes(pickle.dumps(_Trap(tmp_path / "ran")))
    _refused(tmp_path, "bare.pth", "could run code")
    assert not (tmp_path / "ran").exists()


def test_damaged_missing_and_strange_files_are_refused(tmp_path):
    safetensors.torch.save_file(_tensors(), tmp_path / "whole.safetensors")
    torch.save(_tensors(), tmp_path / "whole.pth")
    for kind in ("safetensors", "pth"):
        whole = (tmp_path / f"whole.{kind}").read_bytes()
        (tmp_path / f"half.{kind}").write_bytes(whole[: len(whole) // 2])
        (tmp_path / f"empty.{kind}").write_bytes(b"")
        _refused(tmp_path, f"half.{kind}", "cannot be read")
        _refused(tmp_path, f"empty.{kind}", "cannot be read")
        _refused(tmp_path, f"missing.{kind}", "no such weights file")
    (tmp_path / "text.txt").write_text("weights")
    _refused(tmp_path, "text.txt", "of kind '.txt'")
    torch.save([1, 2], tmp_path / "list.pth")
    _refused(tmp_path, "list.pth", "not a table of named tensors")


def test_position_embeddings_are_resized_as_their_makers_do(tmp_path):
    torch.manual_seed(4)
    safetensors.torch.save_file(zoo_row("test_vit").build(160).backbone().state_dict(), tmp_path / "v.safetensors")
    other_size = zoo_row("test_vit").build(64)
    assert load_weights(other_size, "test_vit", str(tmp_path / "v.safetensors")).dropped == ()
    assert other_size.backbone().pos_embed.shape[1] < zoo_row("test_vit").build(160).backbone().pos_embed.shape[1]


def test_names_that_timm_does_not_have():
    with pytest.raises(UnknownName, match="resnet18"):
        zoo_row("resent18")
    with pytest.raises(UnknownName, match=r"did you mean vit_tiny_patch16_224\.augreg"):
        zoo_row("vit_tiny_patch16_224.augreg_in22k")
    with pytest.raises(UnknownName, match=r"choose one of: .*efficientnet-lite0"):
        zoo_row("hf-hub:somebody/else")
    assert len(zoo_names()) > 1000


def test_a_size_that_a_net_cannot_take_is_refused_with_its_own():
    with pytest.raises(UsageError, match=r"16 px(.|\n)*its own is 224 px"):
        zoo_row("convnext_atto").build(16)


@pytest.mark.parametrize("size_px", [28, 32, 64])
def test_small_images_are_neither_enlarged_nor_trimmed(size_px):
    geometry = zoo_row("resnet18").geometry(size_px)
    assert (geometry.size_px, geometry.crop_fraction) == (size_px, 1.0)
    assert zoo_row("resnet18").geometry(None).crop_fraction == 0.95
