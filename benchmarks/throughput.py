"""Training images per second at 224 px, ours beside a bare loop and what others use, in one run.

    CLOTHING [--models resnet18,mobilenetv3_large_100] [--rounds 3] [--steps 12] [--batch 32]
             [--fastai] [--timm TRAIN.PY]

ours: `fieldmark.training.loop.fit` on photos, with crops and mirroring, from scratch; its second pass, without the
scoring at its end. "stall" is the share of step time in which it waited for images, of the last round.
bare: the same network, arithmetic (Winograd's too), layout, optimiser and allocator; random pixels, in memory.
torch: the same with torch's own convolutions.
torchvision: its reference training's transforms on PIL, a DataLoader worker for each core, SGD, torch's own layout.
fastai (where it is installed): ImageDataLoaders with the same crop and flip, Learner, SGD.
timm: its train.py, given by path, with its own augmentation, on the same images; its own figure of each step.
Rounds take turns, so that a slow minute of the machine is everybody's.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import re
import statistics
import subprocess
import sys
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
from fieldmark.memory import keep_freed_memory
from fieldmark.training import optimisers
from fieldmark.training.cache import cache_pixels
from fieldmark.training.choosing import choose
from fieldmark.training.job import Job
from fieldmark.training.loop import fit
from fieldmark.training.network import Network
from fieldmark.training.plan import Plan
from fieldmark.training.recipe import Recipe
from fieldmark.training.winograd import winograd

SIZE_PX = 224
SMALLEST_CROP = 0.35
PLAN = Plan(
    epochs=2,
    batch=32,
    optimiser="sgd",
    learning_rate=0.01,
    weight_decay=5e-3,
    warmup=0.1,
    label_smoothing=0.1,
    augment="flip+crop",
    flip=True,
    crop_scale=SMALLEST_CROP,
    patience=0,
    precision="fp32",
    threads=available_cores(),
    seed=0,
)
Contender = Callable[[], float]


def network(model: str, classes: int) -> Network:
    torch.manual_seed(0)
    encoder = encoder_row(model).build(SIZE_PX)
    return Network(encoder, Linear(encoder.embedding_size, classes))


def ours(model: str, data: Path, steps: int, batch: int, stalls: list[float]) -> Contender:
    recipe = Recipe(model=model, method="network", weights="none", size=SIZE_PX)
    found = read(data)
    found = found.rows(np.flatnonzero(found.split == "train")[: steps * batch])
    cached = cache_pixels(found, choose(recipe, found).geometry)

    def run() -> float:
        with tempfile.TemporaryDirectory() as folder:
            stamps: list[float] = []
            job = Job(
                data=cached.data,
                pixels=cached.pixels,
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
            lines = map(json.loads, (Path(folder) / "log.jsonl").read_text().splitlines())
            stalls.append([line["data_wait"] for line in lines if line["kind"] == "epoch"][-1])
        second = stamps[steps:-1]  # the last one is told when the epoch has been scored
        return batch * (len(second) - 1) / (second[-1] - second[0])

    return run


def bare(model: str, steps: int, batch: int, *, by_winograd: bool) -> Contender:
    def run() -> float:
        net = network(model, 10).to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
        optimiser = optimisers.build(net, replace(PLAN, batch=batch))
        pixels = torch.randint(0, 256, (batch, SIZE_PX, SIZE_PX, 3), dtype=torch.uint8)
        truth = torch.randint(0, 10, (batch,))
        with winograd(net) if by_winograd else contextlib.nullcontext():
            for step in range(steps + 1):
                if step == 1:
                    began = time.perf_counter()
                optimiser.zero_grad()
                functional.cross_entropy(net(pixels)[1], truth, label_smoothing=0.1).backward()
                optimiser.step()
        return batch * steps / (time.perf_counter() - began)

    return run


def torchvision_loop(model: str, data: Path, steps: int, batch: int) -> Contender:
    import timm
    from torch.utils.data import DataLoader
    from torchvision import datasets, transforms

    views = transforms.Compose(
        [
            transforms.RandomResizedCrop(SIZE_PX, scale=(SMALLEST_CROP, 1.0)),
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


def fastai_loop(model: str, data: Path, steps: int, batch: int) -> Contender:
    import timm
    from fastai.callback.core import Callback, CancelFitException
    from fastai.vision import all as vision

    class Clock(Callback):  # type: ignore[misc]
        def __init__(self) -> None:
            self.stamps: list[float] = []

        def after_batch(self) -> None:
            self.stamps.append(time.perf_counter())
            if len(self.stamps) > steps:
                raise CancelFitException

    def run() -> float:
        crop = vision.RandomResizedCrop(SIZE_PX, min_scale=SMALLEST_CROP)
        loaders = vision.ImageDataLoaders.from_folder(
            data,
            "train",
            "validation",
            item_tfms=crop,
            batch_tfms=vision.Flip(),
            bs=batch,
            num_workers=available_cores(),
        )
        net, clock = timm.create_model(model, num_classes=loaders.c), Clock()
        loss = vision.LabelSmoothingCrossEntropy(eps=0.1)
        learner = vision.Learner(loaders, net, loss_func=loss, opt_func=vision.SGD, cbs=clock)
        with learner.no_bar(), learner.no_logging():
            learner.fit(1, 0.01)
        return batch * steps / (clock.stamps[-1] - clock.stamps[0])

    return run


def timm_script(script: Path, model: str, data: Path, steps: int, batch: int) -> Contender:
    # torchvision may have been built for another torch; our zoo imports it all the same.
    start = "import sys, runpy, fieldmark.encoders.zoo; sys.argv = sys.argv[1:]; "
    start += "runpy.run_path(sys.argv[0], run_name='__main__')"

    def run() -> float:
        with tempfile.TemporaryDirectory() as folder:
            classes = sorted(each.name for each in (data / "train").iterdir())
            for name in classes:
                for part, share in (("train", steps + 2), ("validation", 1)):
                    (Path(folder) / "data" / part / name).mkdir(parents=True)
                    for file in sorted((data / "train" / name).iterdir())[: share * batch // len(classes) + 1]:
                        (Path(folder) / "data" / part / name / file.name).symlink_to(file.resolve())
            words = [sys.executable, "-c", start, str(script), f"{folder}/data", "--model", model, "--epochs", "1"]
            words += ["--num-classes", str(len(classes)), "-b", str(batch), "-j", str(available_cores())]
            words += ["--device", "cpu", "--log-interval", "1", "--output", folder, "--sched", "step", "--lr", "0.01"]
            done = subprocess.run(words, capture_output=True, text=True, check=True)
        # "Time: 1.7s, 18.5/s (1.8s, 17.7/s)": of this step and, in brackets, of all so far.
        each = [batch / float(s) for s in re.findall(r"Time: ([\d.]+)s,", done.stdout + done.stderr)]
        return len(each[1:]) / sum(1 / speed for speed in each[1:])

    return run


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("--models", default="resnet18,mobilenetv3_large_100")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--fastai", action="store_true")
    parser.add_argument("--timm", type=Path, help="path of timm's train.py")
    asked = parser.parse_args()
    torch.set_num_threads(available_cores())
    keep_freed_memory()
    for model in asked.models.split(","):
        stalls: list[float] = []
        like = (model, asked.data, asked.steps, asked.batch)
        contenders: dict[str, Contender] = {
            "ours": ours(*like, stalls),
            "bare": bare(model, asked.steps, asked.batch, by_winograd=True),
            "torch": bare(model, asked.steps, asked.batch, by_winograd=False),
            "torchvision": torchvision_loop(*like),
        }
        if asked.fastai:
            contenders["fastai"] = fastai_loop(*like)
        if asked.timm:
            contenders["timm"] = timm_script(asked.timm, *like)
        speeds: dict[str, list[float]] = {name: [] for name in contenders}
        for _ in range(asked.rounds):
            for name, run in contenders.items():
                speeds[name].append(run())
        medians = {name: statistics.median(each) for name, each in speeds.items()}
        row = {"model": model, "images_per_second": {n: [round(s, 1) for s in each] for n, each in speeds.items()}}
        row |= {"ours_over_" + name: round(medians["ours"] / value, 3) for name, value in medians.items()}
        print(json.dumps(row | {"stall": round(stalls[-1], 4)}), flush=True)


if __name__ == "__main__":
    main()
