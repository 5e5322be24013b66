"""Images made up for tests: seeded, small, and hard enough that a classifier has something to learn."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from PIL import Image

from fieldmark.cli.main import main

COLOURS = {"red": (200, 40, 40), "green": (40, 180, 60), "blue": (50, 70, 200), "yellow": (210, 200, 40)}


def photo(colour: str, seed: int, size: tuple[int, int] = (96, 80)) -> Image.Image:
    """A disc of a class's colour, somewhere on a noisy ground."""
    random = np.random.default_rng(seed)
    width, height = size
    pixels = random.normal(120, 30, (height, width, 3))
    y, x = np.mgrid[0:height, 0:width]
    across, down = random.uniform(0.3, 0.7, 2) * (width, height)
    disc = (x - across) ** 2 + (y - down) ** 2 < (min(size) * random.uniform(0.2, 0.35)) ** 2
    pixels[disc] = COLOURS[colour] + random.normal(0, 25, (int(disc.sum()), 3))
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def photo_folder(
    root: Path,
    per_class: int,
    *,
    classes: tuple[str, ...] = ("red", "green", "blue"),
    size: tuple[int, int] = (96, 80),
) -> Path:
    """A folder with a folder for each class."""
    for number, colour in enumerate(classes):
        (root / colour).mkdir(parents=True, exist_ok=True)
        for image in range(per_class):
            photo(colour, 1000 * number + image, size).save(root / colour / f"{colour}-{image:03d}.jpg", quality=90)
    return root


def fieldmark(
    *words: str | Path, cwd: Path, stdin: bytes | None = None, timeout_s: float = 240, **environment: str
) -> subprocess.CompletedProcess[str]:
    """The real command line, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "fieldmark", *map(str, words)],
        cwd=cwd,
        input=stdin,
        capture_output=True,
        timeout=timeout_s,
        env={**os.environ, "HF_HUB_OFFLINE": "1", **environment},
        check=False,
    )
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


def refused(*words: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """The command line in this process, which has imported all it needs: to start one anew for each of many refusals
    would take most of a test run."""
    said, complained = io.StringIO(), io.StringIO()
    command = ["fieldmark", *map(str, words)]
    with (
        contextlib.chdir(cwd),
        contextlib.redirect_stdout(said),
        contextlib.redirect_stderr(complained),
        mock.patch.object(sys, "argv", command),
        pytest.raises(SystemExit) as ended,
    ):
        main()
    return subprocess.CompletedProcess(command, int(ended.value.code or 0), said.getvalue(), complained.getvalue())


def truncated_jpeg(file: Path) -> None:
    """A file whose header promises a picture and whose pixels are cut off."""
    photo("red", 3, (400, 300)).save(file, "JPEG")
    file.write_bytes(file.read_bytes()[:2000])


def assert_clear(done: subprocess.CompletedProcess[str], *words: str) -> None:
    """An error in three parts, exit code 2, and nothing on standard output."""
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert done.stderr.count("error: ") == 1
    for part in ("  where: ", "  do:    ", *words):
        assert part in done.stderr, done.stderr
