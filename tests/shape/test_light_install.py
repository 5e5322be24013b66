"""The light core alone, installed as a stranger would: small, without torch, and of the same opinion.

The one test that may use the package index; without one it is skipped, and says so.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]
MOST_MB = 250
HEAVY = ("torch", "torchvision", "timm", "scipy", "sklearn", "accelerate", "safetensors", "onnx")

# Run by both installs on the same files: what each picture is, and how probable.
PREDICT = """
import json, sys
import fieldmark
bundle, *files = sys.argv[1:]
answers = fieldmark.load(bundle).predict_many(files)
print(json.dumps([[answer.labels[0], float(answer.probabilities.max())] for answer in answers]))
"""


def _run(*command: object, **environment: str) -> str:
    done = subprocess.run(
        [str(word) for word in command],
        capture_output=True,
        text=True,
        check=False,
        timeout=400,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def _index_or_skip(python: Path, folder: Path) -> None:
    """One small package, asked for with little patience: the cheapest sign that there is an index."""
    options = ("--no-deps", "--no-cache-dir", "--retries=0", "--timeout=10", "--constraint", ROOT / "constraints.txt")
    asked = subprocess.run(
        [python, "-m", "pip", "download", *options, "--dest", folder, "mdurl"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    if asked.returncode != 0:
        why = (asked.stderr.strip().splitlines() or ["pip said nothing"])[-1]
        pytest.skip(f"THE LIGHT INSTALL WAS NOT TESTED: no package index here ({why})")


def _installed(folder: Path) -> Path:
    """The Python of an environment with the light core in it and nothing else."""
    _run(sys.executable, "-m", "venv", folder / "venv")
    python = folder / "venv" / "bin" / "python"
    _index_or_skip(python, folder)
    # A copy is built, because building leaves folders beside the source.
    shutil.copytree(
        ROOT / "src", folder / "source" / "src", ignore=shutil.ignore_patterns("*.egg-info", "__pycache__")
    )
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder / "source" / name)
    _run(python, "-m", "pip", "install", "--quiet", "--constraint", ROOT / "constraints.txt", folder / "source")
    return python


def _is_small_and_has_nothing_heavy(light: Path) -> None:
    files = [file for file in light.parents[1].rglob("*") if file.is_file() and not file.is_symlink()]
    size_mb = sum(file.stat().st_size for file in files) / 1e6
    assert 50 < size_mb < MOST_MB
    found = _run(light, "-c", f"import importlib.util as u; print([n for n in {HEAVY!r} if u.find_spec(n)])")
    assert found.strip() == "[]"
    _run(light, "-m", "pip", "check")


def _stripes(folder: Path) -> list[Path]:
    """Stripes that lie, stand and lean, 40 of each, in a folder per class."""
    random = np.random.default_rng(11)
    y, x = np.mgrid[:32, :32]
    files = []
    for name, across in {"lying": y, "standing": x, "leaning": x + y}.items():
        (folder / name).mkdir(parents=True)
        for number in range(40):
            wave = np.sin(across * random.uniform(0.5, 1.0) + random.uniform(0, 6))[..., None]
            pixels = 128 + 60 * wave + random.normal(0, 25, (32, 32, 3))
            files.append(folder / name / f"{number}.png")
            Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(files[-1])
    return files


def _answers_as_the_whole_install_does(light: Path, folder: Path) -> None:
    files = _stripes(folder / "stripes")
    bundle = folder / "stripes.fieldmark"
    source = {"PYTHONPATH": str(ROOT / "src")}
    train = ("train", folder / "stripes", "--model", "hog", "--head", "logistic", "--out", bundle, "--json")
    trained = json.loads(_run(sys.executable, "-m", "fieldmark", *train, **source))
    assert trained["test"]["accuracy"]["value"] > 0.8
    whole = json.loads(_run(sys.executable, "-c", PREDICT, bundle, *files, **source))
    alone = json.loads(_run(light, "-c", PREDICT, bundle, *files, PYTHONPATH=""))
    assert [label for label, _ in alone] == [label for label, _ in whole]
    assert len({label for label, _ in alone}) == 3
    np.testing.assert_allclose([p for _, p in alone], [p for _, p in whole], atol=1e-6)


@pytest.mark.index
def test_the_light_core_alone_is_small_and_answers_as_the_whole_install_does(tmp_path):
    """One test and not three, because the install is what takes the time."""
    light = _installed(tmp_path)
    _is_small_and_has_nothing_heavy(light)
    assert "predict" in _run(light.parent / "fieldmark", "--help")
    _answers_as_the_whole_install_does(light, tmp_path)
