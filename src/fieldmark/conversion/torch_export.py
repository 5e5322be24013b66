"""torch's own .pt2 file (torch.export) in float32: for torch in Python and C++"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from fieldmark.conversion.row import Form, Source, Written
from fieldmark.data.picture import Pixels
from fieldmark.inference.runner import Outputs

FILE = "model.pt2"
MOST_IN_A_BATCH = 4096


def _write(source: Source, folder: Path) -> Written:
    import torch

    from fieldmark.conversion.as_torch import as_torch, example

    images = torch.export.Dim("N", min=1, max=MOST_IN_A_BATCH)
    program = torch.export.export(
        as_torch(source.graph, source.manifest), (example(source.manifest, 2),), dynamic_shapes=({0: images},)
    )
    torch.export.save(program, folder / FILE)
    return Written(
        files=(FILE,),
        notes=("torch.export.load may unpickle parts of such a file: load it only where you trust its maker",),
    )


def _infer(file: Path) -> Callable[[Pixels], Outputs]:
    import torch

    module = torch.export.load(file).module()

    def infer(pixels: Pixels) -> Outputs:
        with torch.inference_mode():
            embedding, logits = module(torch.tensor(pixels))
        return embedding.numpy(), logits.numpy()

    return infer


ROW = Form(
    reference="https://docs.pytorch.org, torch.export; onnx2torch brings the graph back to torch",
    precision="float32",
    packages=("torch", "onnx2torch"),
    install="pip install 'fieldmark[export]'",
    write=_write,
    infer=_infer,
)
