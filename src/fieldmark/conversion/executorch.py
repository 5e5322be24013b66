"""ExecuTorch (.pte) with XNNPACK in float32: for Android, iOS and small Linux machines"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from fieldmark.conversion.row import Form, Source, Written
from fieldmark.data.picture import Pixels
from fieldmark.inference.runner import Outputs

FILE = "model.pte"


def _write(source: Source, folder: Path) -> Written:
    import torch
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower

    from fieldmark.conversion.as_torch import as_torch, example

    program = torch.export.export(as_torch(source.graph, source.manifest), (example(source.manifest, 1),))
    lowered = to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()]).to_executorch()
    (folder / FILE).write_bytes(lowered.buffer)
    return Written(files=(FILE,), notes=("it takes one image at a time: uint8 [1, S, S, 3]",))


def _infer(file: Path) -> Callable[[Pixels], Outputs]:
    import torch
    from executorch.runtime import Runtime

    method: Any = Runtime.get().load_program(file).load_method("forward")

    def infer(pixels: Pixels) -> Outputs:
        answers = [method.execute([torch.tensor(one[None])]) for one in pixels]
        embedding, logits = (np.concatenate([each[at].numpy() for each in answers]) for at in (0, 1))
        return embedding, logits

    return infer


ROW = Form(
    reference="https://docs.pytorch.org/executorch, XNNPACK",
    precision="float32",
    packages=("torch", "onnx2torch", "executorch"),
    install="pip install 'fieldmark[export]' executorch",
    write=_write,
    infer=_infer,
)
