"""What an open graph holds of the machine's memory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

import makers_bundle as make
from fieldmark.bundle.layout import GRAPH
from fieldmark.exporters.onnx import export
from fieldmark.inference.runner import open_graph

OPEN_IT = """
import sys
from pathlib import Path
from fieldmark.inference.fresh_process import peak_mb
from fieldmark.inference.runner import open_graph

def held():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmRSS")) * 1024 / 1e6

before = held()
runner = open_graph(Path(sys.argv[1]), threads=1)
print(peak_mb() - before, held() - before)
"""


class Heavy(nn.Module):
    """With some 38 MB of weights on the way."""

    def __init__(self) -> None:
        super().__init__()
        self.tiny = make.TinyNetwork()
        self.wide = nn.Sequential(
            nn.Conv2d(6, 512, 1), *(nn.Conv2d(512, 512, 3) for _ in range(4)), nn.Conv2d(512, 6, 1)
        )

    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        embedding, _ = self.tiny(pixels)
        embedding = embedding + self.wide(embedding[:, :, None, None].expand(-1, -1, 9, 9)).flatten(1)
        return embedding, self.tiny.head(embedding)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the C library's heap is another")
def test_an_open_graph_is_held_about_once(tmp_path: Path) -> None:
    export(Heavy().eval(), make.SIZE_PX, tmp_path / GRAPH)
    size_mb = (tmp_path / GRAPH).stat().st_size / 1e6
    words = [sys.executable, "-c", OPEN_IT, str(tmp_path / GRAPH)]
    peak, held = map(float, subprocess.run(words, capture_output=True, check=True, text=True).stdout.split())
    assert held < 1.7 * size_mb and peak < 4 * size_mb


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere names are text")
def test_a_folder_whose_name_is_no_text_is_none_the_worse(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    folder.mkdir()
    (folder / GRAPH).write_bytes(make.graph())
    assert len(open_graph(folder / GRAPH).run(make.pictures(2))[1]) == 2
