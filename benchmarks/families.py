"""Every family from scratch for the same time on small images, one line each. DATA [--models a,b] [train's flags]."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile

FAMILIES = {
    "LeNet": "lenet",
    "AlexNet": "alexnet",
    "VGG-16": "vgg16_bn",
    "ResNet": "resnet18",
    "small ResNet": "resnet-small",
    "DenseNet": "densenet121",
    "Inception": "googlenet",
    "EfficientNet": "efficientnet_b0",
    "MobileNet": "mobilenetv2_100",
    "YOLO": "cs3darknet_s",
    "ViT": "vit_tiny_patch16_224",
    "ConViT": "convit_tiny",
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data")
    parser.add_argument("--models", default=",".join(FAMILIES.values()))
    ours, flags = parser.parse_known_args()
    for family, model in FAMILIES.items():
        if model not in ours.models.split(","):
            continue
        with tempfile.TemporaryDirectory() as folder:
            words = [sys.executable, "-m", "fieldmark", "train", ours.data, "--model", model, "--method", "network"]
            words += ["--weights", "none", *flags, "--out", f"{folder}/b.fieldmark", "--json"]
            done = subprocess.run(words, capture_output=True, text=True, check=False)
        if done.returncode:
            print(json.dumps({"family": family, "model": model, "error": done.stderr[-400:]}), flush=True)
            continue
        result = json.loads(done.stdout)
        row = {"family": family, "model": model, "accuracy": result["test"]["accuracy"]["value"]}
        row |= {name: result[name] for name in ("seconds", "size_bytes", "latency_ms")}
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
