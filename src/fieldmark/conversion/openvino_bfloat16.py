"""OpenVINO's own files, computed with in bf16: for processors that have it, quicker on some of them"""

from __future__ import annotations

from functools import partial

from fieldmark.conversion.openvino import write_openvino
from fieldmark.conversion.row import Form

ROW = Form(
    reference="https://docs.openvino.ai, inference precision; Kalamkar et al. 2019, A study of BFLOAT16",
    precision="bfloat16",
    runner="openvino",
    packages=("openvino",),
    install="pip install 'fieldmark[openvino]'",
    write=partial(write_openvino, name="model.bfloat16", compress=True, arithmetic="bf16"),
)
