"""Small images from scratch: test accuracy of fastai and of timm's script in the wall clock of a budget.

    DATA --budget 5m [--seed 0] [--fastai] [--timm TRAIN.PY]

DATA has a folder `train` and one `test`. Both train a residual network of 18 layers by cross-entropy with labels
smoothed by 0.1, on random crops and mirror images: fastai its xresnet18 by fit_one_cycle, timm its resnet18 by SGD
and a cosine. How many epochs fit is found beforehand with a few steps; those are not counted, and neither is their
last look at the test images. Ours beside it is `train_and_test.py DATA --budget 5m`, which counts everything.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from fieldmark.cores import available_cores
from fieldmark.measures.intervals import proportion
from fieldmark.units import seconds

BATCH, SIZE_PX, SMALLEST_CROP = 128, 32, 0.75
STEPS = 40  # to know the speed by, after as many that are not timed
# Our zoo imports torchvision where it was built for another torch, too.
START_TIMM = "import sys, runpy, fieldmark.encoders.zoo; sys.argv = sys.argv[1:]; "
START_TIMM += "runpy.run_path(sys.argv[0], run_name='__main__')"


def fastai(data: Path, budget_s: float, seed: int) -> dict[str, Any]:
    import fieldmark.encoders.zoo  # noqa: F401, I001  torchvision may have been built for another torch
    from fastai.callback.core import Callback, CancelFitException
    from fastai.vision import all as vision

    class Clock(Callback):  # type: ignore[misc]
        def __init__(self) -> None:
            self.stamps: list[float] = []

        def after_batch(self) -> None:
            self.stamps.append(time.perf_counter())
            if len(self.stamps) > 2 * STEPS:
                raise CancelFitException

    begun = time.perf_counter()
    vision.set_seed(seed)
    loaders = vision.ImageDataLoaders.from_folder(
        data,
        "train",
        "test",
        item_tfms=vision.RandomResizedCrop(SIZE_PX, min_scale=SMALLEST_CROP),
        batch_tfms=vision.Flip(),
        bs=BATCH,
        num_workers=available_cores(),
    )
    opened_s, clock = time.perf_counter() - begun, Clock()

    def learner(**more: Any) -> Any:
        loss = vision.LabelSmoothingCrossEntropy(eps=0.1)
        return vision.Learner(loaders, vision.xresnet18(n_out=loaders.c), loss_func=loss, **more)

    tried, real = learner(cbs=clock), learner(metrics=vision.accuracy)
    with tried.no_bar(), tried.no_logging():
        tried.fit(1, 1e-4)
    epoch_s = (clock.stamps[-1] - clock.stamps[STEPS]) / STEPS * len(loaders.train)
    epochs = _fitting(budget_s - opened_s, epoch_s)
    begun = time.perf_counter()
    with real.no_bar(), real.no_logging():
        real.fit_one_cycle(epochs, 3e-3)
    return {"epochs": epochs, "accuracy": float(real.recorder.values[-1][-1]), "fit_s": time.perf_counter() - begun}


def timm(script: Path, data: Path, budget_s: float, seed: int) -> dict[str, Any]:
    classes = len([folder for folder in (data / "train").iterdir() if folder.is_dir()])
    words = [sys.executable, "-c", START_TIMM, str(script), str(data), "--val-split", "test", "--model", "resnet18"]
    words += ["--num-classes", str(classes), "--img-size", str(SIZE_PX), "-b", str(BATCH), "--seed", str(seed)]
    words += ["-j", str(available_cores()), "--device", "cpu", "--smoothing", "0.1", "--lr", "0.1"]
    words += ["--scale", str(SMALLEST_CROP), "1", "--sched-on-updates", "--warmup-epochs", "1"]
    words += ["--log-interval", "10"]
    with tempfile.TemporaryDirectory() as folder:
        with subprocess.Popen(
            [*words, "--epochs", "1", "--output", f"{folder}/tried"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        ) as tried:
            each, steps = _step_times(tried)
        begun = time.perf_counter()
        epochs = _fitting(budget_s, each * steps)
        more = ["--epochs", str(epochs), "--val-interval", str(epochs), "--output", f"{folder}/real"]
        done = subprocess.run([*words, *more], capture_output=True, text=True, check=True)
    percent = re.findall(r"Acc@1: +[\d.]+ \( *([\d.]+)\)", done.stdout + done.stderr)[-1]
    return {"epochs": epochs, "accuracy": float(percent) / 100, "fit_s": time.perf_counter() - begun}


def _step_times(tried: subprocess.Popen[bytes]) -> tuple[float, int]:
    """Seconds a step and steps an epoch, from what timm's script prints: "Train: 0 [ 40/390 ...] Time: 0.5s, ..."."""
    seen: list[float] = []
    for line in tried.stdout or ():
        if found := re.search(r"\[ *(\d+)/(\d+) .*Time: ([\d.]+)s", line.decode()):
            seen.append(float(found[3]))
            if int(found[1]) >= 2 * STEPS:
                os.killpg(tried.pid, signal.SIGKILL)  # its loaders with it
                return sorted(seen)[len(seen) // 2], int(found[2])
    raise SystemExit("timm's script ended before it had told its speed")


def _fitting(seconds: float, epoch_s: float) -> int:
    return max(1, int(seconds / epoch_s))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("--budget", required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--fastai", action="store_true")
    parser.add_argument("--timm", type=Path, help="path of timm's train.py")
    asked = parser.parse_args()
    budget_s = seconds(asked.budget, where="--budget")
    peers = {"fastai": lambda: fastai(asked.data, budget_s, asked.seed)} if asked.fastai else {}
    if asked.timm:
        peers["timm"] = lambda: timm(asked.timm, asked.data, budget_s, asked.seed)
    tests = sum(1 for _ in (asked.data / "test").glob("*/*"))
    for name, train in peers.items():
        row = train()
        right = proportion(round(row["accuracy"] * tests), tests)
        row |= {"low": right.low, "high": right.high, "n": right.n}
        print(json.dumps({"peer": name, "budget": asked.budget, "seed": asked.seed, **row}), flush=True)


if __name__ == "__main__":
    main()
