"""Core ML (.mlpackage) in float16, for Apple's devices; it runs on nothing else, so it is written unproven"""

from __future__ import annotations

from pathlib import Path

from fieldmark.conversion.row import Form, Source, Written

FILE = "model.mlpackage"


def _write(source: Source, folder: Path) -> Written:
    import coremltools
    import torch

    from fieldmark.conversion.as_torch import as_torch, example

    pixels = example(source.manifest, 1)
    traced = torch.jit.trace(  # type: ignore[no-untyped-call]
        as_torch(source.graph, source.manifest), pixels.float()
    )
    model = coremltools.convert(
        traced,
        inputs=[coremltools.TensorType(name="pixels", shape=tuple(pixels.shape))],
        outputs=[coremltools.TensorType(name="embedding"), coremltools.TensorType(name="logits")],
    )
    model.save(str(folder / FILE))
    files = sorted(path.relative_to(folder).as_posix() for path in (folder / FILE).rglob("*") if path.is_file())
    return Written(
        files=tuple(files),
        notes=("it takes one image as float32 [1, S, S, 3] of 0 to 255; prove it by the canaries on a Mac or phone",),
    )


ROW = Form(
    reference="https://apple.github.io/coremltools",
    precision="float16",
    packages=("torch", "onnx2torch", "coremltools"),
    install="pip install 'fieldmark[export]' coremltools",
    write=_write,
)
