"""Exported is what was trained, bit for bit the same each time, or it is refused."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from fieldmark.errors import ParityError
from fieldmark.exporters.onnx import export
from fieldmark.exporters.parity import compare
from fieldmark.exporters.weights import save_weights
from fieldmark.inference.runner import open_graph
from makers_bundle import SIZE_PX, TinyNetwork, pictures, share_out


class Padded(nn.Module):
    """Convolution that pads by its input's size, as networks converted from TensorFlow do, and a residual sum."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(5)
        self.first, self.second = nn.Conv2d(3, 8, 3, stride=2), nn.Conv2d(8, 8, 3, padding=1)
        self.head = nn.Linear(8, 4)
        nn.init.normal_(self.head.weight, std=10)
        share_out(self, self.head)

    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        inputs = pixels.permute(0, 3, 1, 2) / 255.0
        extra = max((-(-inputs.shape[-1] // 2) - 1) * 2 + 3 - inputs.shape[-1], 0)
        hidden = torch.relu(self.first(nn.functional.pad(inputs, (extra // 2, extra - extra // 2) * 2)))
        embedding = (hidden + torch.relu(self.second(hidden))).mean(dim=(2, 3))
        return embedding, self.head(embedding)


class Histogram(nn.Module):
    """No weights before the head, counting instead; sizes that tracing cannot see."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(6)
        self.head = nn.Linear(12, 2)
        nn.init.normal_(self.head.weight, std=10)
        share_out(self, self.head)

    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        bins = torch.nn.functional.one_hot((pixels // 64).long(), 4).float()
        embedding = bins.mean(dim=(1, 2)).reshape(-1, 12)
        return embedding, self.head(embedding)


NETWORKS = [TinyNetwork, Padded, Histogram]
PIXELS = pictures(50)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model.onnx"


@pytest.mark.parametrize("make", NETWORKS)
@pytest.mark.parametrize("task", ["single", "multi"])
def test_the_graph_answers_as_the_network(make: Any, task: Any, path: Path) -> None:
    network = make()
    export(network, SIZE_PX, path)
    parity = compare(network, path, PIXELS, task=task)
    assert parity.n == 50 and parity.agreement == 1 and parity.largest_gap < 1e-4 and parity.ties < 5
    assert len({*open_graph(path).run(PIXELS)[1].argmax(axis=1)}) > 1


@pytest.mark.parametrize("make", NETWORKS)
def test_the_batch_is_free(make: Any, path: Path) -> None:
    export(make(), SIZE_PX, path)
    runner = open_graph(path)
    for n in (1, 2, 7):
        embedding, logits = runner.run(PIXELS[:n])
        assert embedding.shape == (n, runner.embedding_size) and logits.shape == (n, runner.n_classes)


def test_what_the_size_alone_decides_is_no_work_for_every_run(path: Path) -> None:
    export(Padded(), SIZE_PX, path)
    kinds = {node.op_type for node in onnx.load(path).graph.node}
    assert not kinds & {"Shape", "Gather", "Concat", "Unsqueeze", "Slice", "Constant", "Pad"}


@pytest.mark.parametrize("size_px", [16, 20])  # tracing itself rounds the quotients of odd sizes otherwise
def test_folding_changes_no_answer(size_px: int, path: Path) -> None:
    """A library's folding rounded the negative quotients of even sizes otherwise."""
    network, pixels = Padded().eval(), pictures(8, size_px)
    export(network, size_px, path)
    with torch.inference_mode():
        expected = network(torch.from_numpy(pixels))[1].numpy()
    assert np.abs(open_graph(path).run(pixels)[1] - expected).max() < 1e-4


def test_the_network_stays_as_it_was(path: Path) -> None:
    network = TinyNetwork().double().train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    export(network, SIZE_PX, path)
    compare(network, path, PIXELS)
    assert network.training and all(
        torch.equal(before[name], tensor) for name, tensor in network.state_dict().items()
    )


def test_a_network_in_bf16_is_shipped_in_float32(path: Path) -> None:
    network = TinyNetwork().bfloat16()
    export(network, SIZE_PX, path)
    assert compare(network, path, PIXELS).largest_gap < 1e-4


EXPORT = """
import sys
from pathlib import Path
from makers_bundle import SIZE_PX, TinyNetwork
from fieldmark.exporters.onnx import export
from fieldmark.exporters.weights import save_weights
network = TinyNetwork()
export(network, SIZE_PX, Path(sys.argv[1]))
save_weights(network, Path(sys.argv[1] + ".safetensors"))
"""


def test_same_weights_same_bytes_in_any_process_and_folder(tmp_path: Path) -> None:
    network = TinyNetwork()
    for again in ("one", "two"):
        export(network, SIZE_PX, tmp_path / again)
        save_weights(network, tmp_path / f"{again}.safetensors")
    (tmp_path / "far" / "away").mkdir(parents=True)
    third = tmp_path / "far" / "away" / "three"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONHASHSEED": "7"}
    subprocess.run([sys.executable, "-c", EXPORT, third], env=environment, cwd=third.parent, check=True)
    for suffix in ("", ".safetensors"):
        files = [Path(f"{start}{suffix}") for start in (tmp_path / "one", tmp_path / "two", third)]
        assert len({hashlib.sha256(file.read_bytes()).hexdigest() for file in files}) == 1


def test_the_graph_tells_nothing_of_its_maker(path: Path) -> None:
    export(TinyNetwork(), SIZE_PX, path)
    model = onnx.load(path)
    assert model.producer_name == "fieldmark" and not model.doc_string and not model.graph.doc_string
    assert not any(node.doc_string or node.metadata_props for node in model.graph.node)
    encoded = path.read_bytes()
    assert str(path.parent).encode() not in encoded and b".py" not in encoded and b"site-packages" not in encoded


def test_weights_come_back(tmp_path: Path) -> None:
    network = TinyNetwork(seed=3)
    save_weights(network, tmp_path / "w.safetensors")
    loaded = load_file(tmp_path / "w.safetensors")
    assert all(torch.equal(loaded[name], tensor) for name, tensor in network.state_dict().items())


def test_shared_and_strided_weights_come_back(tmp_path: Path) -> None:
    network = nn.ModuleDict({"a": nn.Linear(4, 4), "b": nn.Linear(4, 4)})
    network["b"].weight = network["a"].weight
    network["a"].bias = nn.Parameter(torch.arange(8.0)[::2])
    save_weights(network, tmp_path / "w.safetensors")
    loaded = load_file(tmp_path / "w.safetensors")
    assert torch.equal(loaded["a.weight"], loaded["b.weight"]) and loaded["a.bias"].tolist() == [0, 2, 4, 6]


def unnormalised() -> nn.Module:
    network = TinyNetwork()
    network.mean = 0.0
    return network


def other_statistics() -> nn.Module:
    network = TinyNetwork()
    network.norm.reset_running_stats()
    return network


def classes_swapped() -> nn.Module:
    network = TinyNetwork()
    with torch.no_grad():
        network.head.weight[[0, 1]] = network.head.weight[[1, 0]].clone()
    return network


def sure_of_one_class(network: TinyNetwork) -> TinyNetwork:
    """Names class 0 whatever it sees, so that every answer agrees and only the outputs can tell."""
    with torch.no_grad():
        network.head.bias += torch.tensor([1e3, 0.0, 0.0])
    return network


@pytest.mark.parametrize("make_wrong", [unnormalised, other_statistics, classes_swapped, lambda: TinyNetwork(seed=1)])
@pytest.mark.parametrize("task", ["single", "multi"])
def test_a_wrong_graph_is_refused(make_wrong: Any, task: Any, path: Path) -> None:
    export(make_wrong(), SIZE_PX, path)
    with pytest.raises(ParityError, match=r"image \d+, where a probability differs by") as caught:
        compare(TinyNetwork(), path, PIXELS, task=task)
    assert caught.value.exit_code == 1


@pytest.mark.parametrize("make_wrong", [unnormalised, other_statistics])
def test_a_wrong_graph_that_names_the_same_classes_is_refused(make_wrong: Any, path: Path) -> None:
    export(sure_of_one_class(make_wrong()), SIZE_PX, path)
    with pytest.raises(ParityError, match="of their spread"):
        compare(sure_of_one_class(TinyNetwork()), path, PIXELS)


def test_the_worst_image_is_named(path: Path) -> None:
    """Only image 7 is bright, and only there the graph answers otherwise."""
    network, graph = TinyNetwork(2), TinyNetwork(2)
    pixels = np.full((20, SIZE_PX, SIZE_PX, 3), 10, np.uint8)
    pixels[7] = 250
    with torch.no_grad():
        embedding, logits = network.eval()(torch.from_numpy(pixels))
        turn = embedding[7] - embedding[0]
        step = turn / turn.dot(turn) * (logits[7, 0] - logits[7, 1])
        graph.head.weight[1] += 2 * step
        graph.head.bias[1] -= 2 * step.dot(embedding[0])
    export(graph, SIZE_PX, path)
    with pytest.raises(ParityError, match="1 of 20 images get another answer; the worst is image 7"):
        compare(network, path, pixels)


def test_ties_are_counted_apart(path: Path) -> None:
    """Classes 0 and 1 always get the same logits: which of them is first says nothing."""
    network, graph = TinyNetwork(), TinyNetwork()
    for module, lead in ((network, 1e-7), (graph, -1e-7)):
        with torch.no_grad():
            module.head.weight[1] = module.head.weight[0]
            module.head.bias[:] = torch.tensor([lead, 0.0, -1e3])
            module.head.weight[2] = 0
    export(graph, SIZE_PX, path)
    parity = compare(network, path, PIXELS)
    assert parity.ties == len(PIXELS) and parity.agreement == 1


@pytest.mark.parametrize("where", ["network", "graph", "embedding alone"])
def test_nan_anywhere_is_refused(where: str, path: Path) -> None:
    network, graph = TinyNetwork(), TinyNetwork()
    with torch.no_grad():
        if where == "embedding alone":
            for module in (network, graph):
                module.convolution.bias[0] = torch.nan
                module.head.weight[:, 0] = 0
        else:
            (network if where == "network" else graph).head.bias[1] = torch.nan
    export(graph, SIZE_PX, path)
    with pytest.raises(ParityError, match="not a number"):
        compare(network, path, PIXELS)


def test_no_image_proves_nothing(path: Path) -> None:
    export(TinyNetwork(), SIZE_PX, path)
    with pytest.raises(ParityError, match="no image"):
        compare(TinyNetwork(), path, PIXELS[:0])


def test_a_graph_that_cannot_be_opened_is_refused(path: Path) -> None:
    path.write_bytes(b"junk")
    with pytest.raises(ParityError):
        compare(TinyNetwork(), path, PIXELS)
