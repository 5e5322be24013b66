"""OpenVINO's own files in int8, and what stays in float in bf16: the fastest where a processor has that"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from fieldmark.conversion.openvino_int8 import ROW as INT8
from fieldmark.conversion.openvino_int8 import write_int8

ROW = replace(INT8, arithmetic="bfloat16", write=partial(write_int8, name="model.int8.bfloat16", arithmetic="bf16"))
