"""Each model that `fieldmark models` names, in every form of float32, beside its own graph on all test photos.

CLOTHING OUT [--models a,b]. Networks learn from 240 photos for --epochs passes, what is made to be probed is probed:
so much that answers differ between photos. Prints a line of JSON for each model and form; bundles in OUT stay.
"""

from __future__ import annotations

import argparse
import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from fieldmark.conversion.row import FORMS
from fieldmark.encoders.building import encoder_row
from fieldmark.encoders.catalogue import families, our_models

LEARNT_FROM, VALIDATED_BY = 24, 8  # of each class


def manifest(data: Path, out: Path) -> Path:
    """`out/few.csv`: a few photos of each class to learn from, and all of the test part."""
    rows = []
    for part, most in (("train", LEARNT_FROM), ("validation", VALIDATED_BY), ("test", None)):
        for folder in sorted((data / part).iterdir()):
            files = sorted(folder.glob("*"))[:most]
            rows += [(f"{part}/{folder.name}/{file.name}", folder.name, part) for file in files]
    with (out / "few.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([("file", "label", "split"), *rows])
    return out / "few.csv"


def fieldmark(*words: str) -> Any:
    done = subprocess.run([sys.executable, "-m", "fieldmark", *words, "--json"], capture_output=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr.decode()[-2000:])
    return json.loads(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument(
        "--models", default=",".join(dict.fromkeys(each.name for each in (*our_models(), *families())))
    )
    parser.add_argument("--epochs", default="2")
    asked = parser.parse_args()
    asked.out.mkdir(exist_ok=True)
    listed = (str(manifest(asked.data, asked.out)), "--root", str(asked.data))
    forms = [word for name in FORMS if FORMS[name].precision == "float32" for word in ("--to", name)]
    for model in asked.models.split(","):
        bundle = asked.out / f"{model}.fieldmark"
        row = encoder_row(model)
        learning = ("--method", "network", "--weights", "none", "--epochs", asked.epochs)
        how = learning if row.trainable else ("--method", "probe")
        if not bundle.exists():
            fieldmark("train", *listed, "--model", model, *how, "--out", str(bundle))
        for told in fieldmark("export", str(bundle), *listed, "--out", str(asked.out), *forms):
            print(json.dumps({"model": model, **told}), flush=True)
            if told["bundle"]:
                shutil.rmtree(told["bundle"])


if __name__ == "__main__":
    main()
