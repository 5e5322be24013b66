"""Training images per second at 224 px, ours beside a bare loop and torchvision's reference loop, in one run.

    CLOTHING [--models resnet18,mobilenetv3_large_100] [--rounds 3] [--steps 12] [--batch 32]

ours: `fieldmark.training.loop.fit` on photos, with crops and mirroring, from scratch; its second pass on.
bare: the same network, arithmetic, layout, optimiser and allocator; random pixels that lie in memory.
torchvision: its reference training's transforms on PIL, a DataLoader worker for each core, SGD, torch's own layout.
Rounds take turns, so that a slow minute of the machine is everybody's.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from msgspec.structs import replace
from torch import nn
from torch.nn import functional

from fieldmark.cores import available_cores
from fieldmark.data.reading import read
from fieldmark.encoders.building import encoder_row
from fieldmark.heads.linear import Linear
from fieldmark.training import optimisers
from fieldmark.training.cache import cache_pixels
from fieldmark.training.choosing import choose
from fieldmark.training.job import Job
from fieldmark.training.loop import fit
from fieldmark.training.memory import keep_freed_memory
from fieldmark.training.network import Network
from fieldmark.training.plan import Plan
from fieldmark.training.recipe import Recipe

SIZE_PX = 224
PLAN = Plan(
    epochs=2,
    batch=32,
    optimiser="sgd",
    learning_rate=0.01,
    weight_decay=5e-3,
    warmup=0.1,
    label_smoothing=0.1,
    flip=True,
    crop_scale=0.35,
    patience=0,
    precision="fp32",
    threads=available_cores(),
    seed=0,
)


def network(model: str, classes: int) -> Network:
    torch.manual_seed(0)
    encoder = encoder_row(model).build(SIZE_PX)
    return Network(encoder, Linear(encoder.embedding_size, classes))


def ours(model: str, data: Path, steps: int, batch: int) -> Callable[[], float]:
    with tempfile.TemporaryDirectory() as folder:
        recipe = Recipe(model=model, method="network", weights="none", size=SIZE_PX)
        found = read(data)
        found = found.rows(np.flatnonzero(found.split == "train")[: steps * batch])
        cached = cache_pixels(found, choose(recipe, found).geometry, Path(folder))
        pixels = np.array(cached.pixels)

    def run() -> float:
        with tempfile.TemporaryDirectory() as folder:
            stamps: list[float] = []
            job = Job(
                data=cached.data,
                pixels=pixels,
                train=np.arange(len(cached.data)),
                validation=np.arange(batch),
                test=np.arange(0),
                fold=None,
                split="",
                choice=choose(recipe, cached.data),
                recipe=recipe,
                run_folder=Path(folder),
                resume=False,
                deadline=None,
                progress=lambda *_: stamps.append(time.perf_counter()),
            )
            fit(network(model, len(found.classes)), job, replace(PLAN, batch=batch))
        second = stamps[steps:]
        return batch * (len(second) - 1) / (second[-1] - second[0])

    return run


def bare(model: str, steps: int, batch: int) -> Callable[[], float]:
    def run() -> float:
        net = network(model, 10).to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
        optimiser = optimisers.build(net, replace(PLAN, batch=batch))
        pixels = torch.randint(0, 256, (batch, SIZE_PX, SIZE_PX, 3), dtype=torch.uint8)
        truth = torch.randint(0, 10, (batch,))
        for step in range(steps + 1):
            if step == 1:
                began = time.perf_counter()
            optimiser.zero_grad()
            functional.cross_entropy(net(pixels)[1], truth, label_smoothing=0.1).backward()
            optimiser.step()
        return batch * steps / (time.perf_counter() - began)

    return run


def torchvision_loop(model: str, data: Path, steps: int, batch: int) -> Callable[[], float]:
    import timm
    from torch.utils.data import DataLoader
    from torchvision import datasets, transforms

    views = transforms.Compose(
        [
            transforms.RandomResizedCrop(SIZE_PX, scale=(0.35, 1.0)),
            transforms.RandomHorizontalFlip(),
            transforms.PILToTensor(),
            transforms.ConvertImageDtype(torch.float32),
            transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ]
    )
    images = datasets.ImageFolder(str(data / "train"), views)

    def forever(loader: DataLoader[tuple[torch.Tensor, torch.Tensor]]) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        while True:
            yield from loader

    def run() -> float:
        net = timm.create_model(model, num_classes=len(images.classes)).train()
        optimiser = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)
        loader = DataLoader(images, batch, shuffle=True, num_workers=available_cores(), drop_last=True)
        for step, (pixels, truth) in enumerate(forever(loader)):
            if step == 1:
                began = time.perf_counter()
            if step == steps + 1:
                break
            loss = nn.functional.cross_entropy(net(pixels), truth, label_smoothing=0.1)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        return batch * steps / (time.perf_counter() - began)

    return run


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("--models", default="resnet18,mobilenetv3_large_100")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--batch", type=int, default=32)
    asked = parser.parse_args()
    torch.set_num_threads(available_cores())
    keep_freed_memory()
    for model in asked.models.split(","):
        contenders = {
            "ours": ours(model, asked.data, asked.steps, asked.batch),
            "bare": bare(model, asked.steps, asked.batch),
            "torchvision": torchvision_loop(model, asked.data, asked.steps, asked.batch),
        }
        speeds: dict[str, list[float]] = {name: [] for name in contenders}
        for _ in range(asked.rounds):
            for name, run in contenders.items():
                speeds[name].append(run())
        medians = {name: statistics.median(each) for name, each in speeds.items()}
        row = {"model": model, "images_per_second": {n: [round(s, 1) for s in each] for n, each in speeds.items()}}
        row |= {"ours_over_" + name: round(medians["ours"] / value, 3) for name, value in medians.items()}
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
