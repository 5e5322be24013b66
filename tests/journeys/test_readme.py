"""The README's commands, as they stand there, in a fresh folder."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from fieldmark.training.demo import write_digits
from makers import fieldmark

README = Path(__file__).parents[2] / "README.md"


@pytest.fixture(scope="module")
def newcomer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the demonstration has written its digits."""
    folder = tmp_path_factory.mktemp("newcomer")
    write_digits(folder / "demo" / "digits")
    return folder


def test_the_command_line_tour(newcomer: Path) -> None:
    tour = README.read_text().split("these commands are run by", 1)[1]
    block = re.search(r"```sh\n(.*?)```", tour, re.DOTALL)
    assert block is not None
    lines = [shlex.split(line, comments=True) for line in block[1].splitlines() if line.strip()]
    assert len(lines) >= 6
    for program, *words in lines:
        assert program == "fieldmark"
        done = fieldmark(*words, cwd=newcomer)
        assert done.returncode == 0, f"{words}: {done.stderr}"
        assert done.stdout or "--output" in words


def test_the_python_tour(newcomer: Path) -> None:
    block = re.search(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert block is not None
    done = subprocess.run(
        [sys.executable, "-c", block[1]], cwd=newcomer, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "Estimate(value=" in done.stdout
