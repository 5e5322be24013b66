"""From image files to labels, each in a fresh process from its start to its end, beside what others use, in one run.

    BUNDLE FOLDER [--exports BUNDLE,BUNDLE] [--rounds 3] [--batch 32] [--peers torchvision,fastai,huggingface]

BUNDLE is one of timm's networks, trained with --method network. It answers by `fieldmark predict`, and so do
--exports, which were made of it. The others have the same network and weights, and from the same geometry the
transforms that are usual with them: a DataLoader with a worker for each core, Resize, CenterCrop, ToTensor, Normalize
(torchvision); Learner.get_preds with them (fastai); the image-classification pipeline with TimmWrapper (huggingface).
Where torchvision was built for another torch, our zoo imports it all the same. Rounds take turns, so that a slow
minute is everybody's. "alike": the share of labels that are BUNDLE's.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from fieldmark.bundle.layout import WEIGHTS
from fieldmark.bundle.reading import open_bundle
from fieldmark.bundle.schema import Manifest
from fieldmark.cores import available_cores
from fieldmark.inference.classifier import load
from fieldmark.inference.fresh_process import predict_afresh
from fieldmark.inference.prediction import Failure

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}


def images(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)


def in_torch(bundle: Path) -> Any:
    """The trained Network, in evaluation mode."""
    import safetensors.torch

    from fieldmark.encoders.building import encoder_row
    from fieldmark.heads.linear import Linear
    from fieldmark.training.network import Network

    manifest = open_bundle(bundle).manifest
    encoder = encoder_row(manifest.model).build(manifest.geometry.size_px)
    network = Network(encoder, Linear(encoder.embedding_size, len(manifest.classes)))
    network.load_state_dict(safetensors.torch.load_file(bundle / WEIGHTS))
    return network.eval()


def usual_transforms(manifest: Manifest, encoder: Any) -> Any:
    from torchvision import transforms

    side = manifest.geometry.size_px
    return transforms.Compose(
        [
            transforms.Resize(
                round(side / manifest.geometry.crop_fraction),
                interpolation=transforms.InterpolationMode(manifest.geometry.filter),
            ),
            transforms.CenterCrop(side),
            transforms.ToTensor(),
            transforms.Normalize(encoder.mean.flatten().tolist(), encoder.std.flatten().tolist()),
        ]
    )


class Photos:
    """A dataset of transformed images, as torchvision's loaders open them."""

    def __init__(self, files: list[Path], transform: Any) -> None:
        self.files, self.transform = files, transform

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, row: int) -> Any:
        from torchvision.datasets.folder import default_loader

        return self.transform(default_loader(str(self.files[row])))


def by_torchvision(bundle: Path, files: list[Path], batch: int) -> list[int]:
    import torch
    from torch.utils.data import DataLoader

    network = in_torch(bundle)
    photos = Photos(files, usual_transforms(open_bundle(bundle).manifest, network.encoder))
    answers: list[int] = []
    with torch.inference_mode():
        for pixels in DataLoader(photos, batch, num_workers=available_cores()):  # type: ignore[arg-type]
            answers += network.head(network.encoder.network(pixels)).argmax(1).tolist()
    return answers


def by_fastai(bundle: Path, files: list[Path], batch: int) -> list[int]:
    from torch import nn

    network = in_torch(bundle)
    from fastai.vision import all as vision

    photos = Photos(files, usual_transforms(open_bundle(bundle).manifest, network.encoder))
    loader = vision.DataLoader(
        photos, bs=batch, num_workers=available_cores(), create_batch=lambda each: (vision.torch.stack(each),)
    )
    loaders = vision.DataLoaders(loader, loader, device="cpu")
    learner = vision.Learner(
        loaders, nn.Sequential(network.encoder.network, network.head), loss_func=nn.CrossEntropyLoss()
    )
    with learner.no_bar(), learner.no_logging():
        found, _ = learner.get_preds(dl=loader, act=nn.Identity())
    return [int(each) for each in found.argmax(1)]


def by_huggingface(bundle: Path, files: list[Path], batch: int) -> list[int]:
    network, manifest = in_torch(bundle), open_bundle(bundle).manifest
    from transformers import TimmWrapperConfig, TimmWrapperForImageClassification, TimmWrapperImageProcessor, pipeline

    settings = {
        "input_size": [3, manifest.geometry.size_px, manifest.geometry.size_px],
        "mean": network.encoder.mean.flatten().tolist(),
        "std": network.encoder.std.flatten().tolist(),
        "crop_pct": manifest.geometry.crop_fraction,
        "interpolation": manifest.geometry.filter,
    }
    labels = dict(enumerate(map(str, range(len(manifest.classes)))))
    config = TimmWrapperConfig(architecture=manifest.model, pretrained_cfg=settings, id2label=labels)
    model = TimmWrapperForImageClassification(config).eval()
    model.timm_model.load_state_dict(network.encoder.network.state_dict(), strict=False)
    model.timm_model.get_classifier().load_state_dict(network.head.state_dict())
    asked = pipeline("image-classification", model=model, image_processor=TimmWrapperImageProcessor(settings))
    answers = asked([str(file) for file in files], batch_size=batch, num_workers=available_cores(), top_k=1)
    return [int(each[0]["label"]) for each in answers]


PEERS = {"torchvision": by_torchvision, "fastai": by_fastai, "huggingface": by_huggingface}


def afresh(peer: str, bundle: Path, folder: Path, batch: int) -> tuple[float, list[int]]:
    """Seconds of a process from start to end, and the class of each image."""
    words = [sys.executable, __file__, str(bundle), str(folder), "--batch", str(batch), "--only", peer]
    began = time.perf_counter()
    done = subprocess.run(words, stdout=subprocess.PIPE, check=True)
    return time.perf_counter() - began, json.loads(done.stdout.splitlines()[-1])


def ours(bundle: Path, files: list[Path], peaks: list[float]) -> float:
    found = predict_afresh(bundle, files)
    peaks.append(found.peak_mb or 0.0)
    return found.took_s


def labels_of(bundle: Path, files: list[Path]) -> list[int]:
    classifier = load(bundle)
    answers = classifier.predict_many(files)
    return [-1 if isinstance(each, Failure) else int(each.probabilities.argmax()) for each in answers]


def tell(name: str, took: list[float], images: int) -> None:
    """A round of many minutes is not lost with the next one."""
    print(f"{name}: {images / took[-1]:.1f} images/s (round {len(took)})", file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("bundle", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--exports", default="")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--peers", default="torchvision")
    parser.add_argument("--only", choices=PEERS, help="what a process of its own is started with")
    asked = parser.parse_args()
    files = images(asked.folder)
    if asked.only:
        print(json.dumps(PEERS[asked.only](asked.bundle, files, asked.batch)))
        return
    bundles = {path.name: path for path in (asked.bundle, *map(Path, filter(None, asked.exports.split(","))))}
    peers = [name for name in asked.peers.split(",") if name]
    expected = labels_of(asked.bundle, files)
    took: dict[str, list[float]] = {name: [] for name in (*bundles, *peers)}
    peaks: dict[str, list[float]] = {name: [] for name in bundles}
    for _ in range(asked.rounds):
        for name, path in bundles.items():
            took[name].append(ours(path, files, peaks[name]))
            tell(name, took[name], len(files))
        for name in peers:
            seconds, answers = afresh(name, asked.bundle, asked.folder, asked.batch)
            took[name].append(seconds)
            tell(name, took[name], len(files))
            if len(took[name]) == 1:
                alike = sum(a == b for a, b in zip(expected, answers)) / len(files)
                print(json.dumps({"peer": name, "alike": round(alike, 4)}), flush=True)
    rates = {name: [round(len(files) / each, 1) for each in seconds] for name, seconds in took.items()}
    medians = {name: statistics.median(each) for name, each in rates.items()}
    over = {f"{a} over {b}": round(medians[a] / medians[b], 2) for a in bundles for b in peers}
    print(json.dumps({"images": len(files), "images_per_second": rates, "peak_mb": peaks} | over), flush=True)


if __name__ == "__main__":
    main()
