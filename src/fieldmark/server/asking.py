"""What a request of the Open Inference Protocol V2 asks: `POST /v2/models/{model}/infer`.

Input `image`, BYTES [N]: encoded images, after the JSON in the protocol's binary form, or in the JSON, each as a
base64 string or a data URL (which a parameter `content_type` of "base64" may say; no other is taken). Input `pixels`,
UINT8 [N, S, S, 3]: what the geometry makes of an image. One of the two.

Extensions: binary_tensor_data, with raw binary requests (header length 0: the body is one encoded image, all answers
come back binary), and classification. Parameters and fields of others are passed over, but for shared memory, which
would leave the client waiting at an empty region.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import msgspec

from fieldmark.data.picture import Pixels
from fieldmark.server.reading import read_json
from fieldmark.server.refusals import RequestError, too_many_images
from fieldmark.server.tensors import (
    INPUTS,
    OUTPUTS,
    images_from_binary,
    images_from_json,
    pixels_from_binary,
    pixels_from_json,
)

HEADER = "Inference-Header-Content-Length"
# The embedding is long, and few want it.
USUAL = tuple(name for name in OUTPUTS if name != "embedding")
RANKED = ("probabilities", "logits")

_Count = Annotated[int, msgspec.Meta(ge=0, le=2**62)]
_MOST_DIGITS = 15
_NOTHING = msgspec.Raw(b"null")
_LENGTH = f"let {HEADER} be the length of the JSON in bytes, 0 where the body is one image, or leave it out"
_ONE_INPUT = "give one input: image (BYTES [N]) or pixels (UINT8 [N, S, S, 3]); GET /v2/models/{model} shows them"
_ONE_PLACE = (
    f"give the numbers in `data`, or after the JSON with the parameter binary_data_size and the header {HEADER}"
)
_PROTOCOL = "see the Open Inference Protocol V2; GET /v2/models/{model} shows the inputs and outputs"


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedOutput:
    """An output as it is to come back: after the JSON or in it; `classification` > 0: the best so many as strings."""

    name: str
    binary: bool
    classification: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class InferRequest:
    """`images`, N encoded images, or `pixels`, uint8 [N, S, S, 3]: the other is None. `outputs` has no name twice."""

    id: str
    images: tuple[bytes, ...] | None = None
    pixels: Pixels | None = None
    outputs: tuple[WantedOutput, ...]


class _InputParameters(msgspec.Struct, frozen=True):
    binary_data_size: _Count | None = None
    content_type: str | None = None


class _Input(msgspec.Struct, frozen=True):
    name: str
    shape: tuple[_Count, ...]
    datatype: str
    parameters: _InputParameters | None = None
    data: msgspec.Raw = _NOTHING


class _OutputParameters(msgspec.Struct, frozen=True):
    binary_data: bool | None = None
    classification: _Count | None = None
    shared_memory_region: str | None = None


class _Output(msgspec.Struct, frozen=True):
    name: str
    parameters: _OutputParameters | None = None


class _RequestParameters(msgspec.Struct, frozen=True):
    binary_data_output: bool | None = None


class _Request(msgspec.Struct, frozen=True):
    inputs: tuple[_Input, ...]
    id: str | None = None
    outputs: tuple[_Output, ...] | None = None
    parameters: _RequestParameters | None = None


def read_header_length(text: str | None) -> int | None:
    """The header Inference-Header-Content-Length as a number; None where there is none. RequestError for others."""
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS):
        raise RequestError("this is not a length in bytes", where=f"header {HEADER}", do=_LENGTH)
    return int(text)


def parse_infer(body: bytes, header_length: int | None, *, size_px: int, max_images: int) -> InferRequest:
    """The request in `body`, for a bundle of `size_px` and at most `max_images` images.

    `header_length` is the bytes of JSON at the start, tensors follow; None: all is JSON; 0: all is one encoded image.
    Raises RequestError, and nothing else, for every body that is no such request (status 413 for too many images).
    """
    if header_length == 0:
        return InferRequest(id="", images=(body,), outputs=_usual(binary=True))
    json, tail = _split(body, header_length)
    asked = read_json(json, _Request, where="", do=_PROTOCOL)
    outputs = _wanted(asked)
    given = _only(asked.inputs)
    _check_shape(given, size_px, max_images)
    binary = _binary(given, tail)
    return InferRequest(
        id=asked.id or "",
        images=_images(given, binary) if given.name == "image" else None,
        pixels=_pixels(given, binary) if given.name == "pixels" else None,
        outputs=outputs,
    )


def _split(body: bytes, header_length: int | None) -> tuple[memoryview, memoryview | None]:
    """(JSON, what follows it; None where nothing was to follow)."""
    if header_length is None:
        return memoryview(body), None
    if not 0 < header_length <= len(body):
        raise RequestError(
            f"the JSON is said to have {header_length} bytes, and the body has {len(body)}",
            where=f"header {HEADER}",
            do=_LENGTH,
        )
    return memoryview(body)[:header_length], memoryview(body)[header_length:]


def _only(inputs: Sequence[_Input]) -> _Input:
    for index, given in enumerate(inputs):
        if given.name not in INPUTS:
            raise RequestError(f"there is no input {given.name[:60]!r}", where=f"inputs[{index}].name", do=_ONE_INPUT)
    if len(inputs) != 1:
        twice = len({given.name for given in inputs}) < len(inputs)
        what = "an input is given twice" if twice else "image and pixels are given" if inputs else "no input is given"
        raise RequestError(what, where="inputs", do=_ONE_INPUT)
    if inputs[0].datatype != INPUTS[inputs[0].name]:
        what = f"{inputs[0].name} is {INPUTS[inputs[0].name]}, not {inputs[0].datatype[:60]!r}"
        raise RequestError(what, where="inputs[0].datatype", do=_ONE_INPUT)
    return inputs[0]


def _check_shape(given: _Input, size_px: int, max_images: int) -> None:
    row = () if given.name == "image" else (size_px, size_px, 3)
    where = "inputs[0].shape"
    if given.shape[1:] != row or not given.shape[:1] > (0,):
        said = ", ".join(map(str, given.shape[:5])) + (", ..." if len(given.shape) > 5 else "")
        right = ", ".join(map(str, ("N", *row)))
        raise RequestError(f"{given.name} is [{right}] with N of 1 or more, not [{said}]", where=where, do=_ONE_INPUT)
    if given.shape[0] > max_images:
        raise too_many_images(given.shape[0], max_images, where=where)


def _binary(given: _Input, tail: memoryview | None) -> memoryview | None:
    """The bytes of the only input, where they follow the JSON; None where they are in its field `data`."""
    size = given.parameters.binary_data_size if given.parameters else None
    in_json = given.data != _NOTHING
    where = "inputs[0].parameters.binary_data_size"
    if size is None and tail:
        raise RequestError(f"{len(tail)} bytes follow the JSON, and no input has them", where=where, do=_ONE_PLACE)
    if in_json is (size is not None):
        what = "the data are given twice" if in_json else "there are no data"
        raise RequestError(what, where="inputs[0].data", do=_ONE_PLACE)
    if size is None:
        return None
    if tail is None or size != len(tail):
        what = f"{size} bytes are said to follow the JSON, and {len(tail or b'')} do"
        raise RequestError(what, where=where, do=_ONE_PLACE)
    return tail


def _pixels(given: _Input, binary: memoryview | None) -> Pixels:
    if binary is None:
        return pixels_from_json(given.data, given.shape, where="inputs[0].data")
    return pixels_from_binary(binary, given.shape, where="inputs[0].data")


def _images(given: _Input, binary: memoryview | None) -> tuple[bytes, ...]:
    content_type = given.parameters.content_type if given.parameters else None
    if content_type is not None and (binary is not None or content_type != "base64"):
        raise RequestError(
            f"images {'in' if binary is None else 'after'} the JSON cannot be of content_type {content_type[:60]!r}",
            where="inputs[0].parameters.content_type",
            do="leave it out: images in the JSON are base64, images after it are the bytes of their files",
        )
    if binary is None:
        return images_from_json(given.data, given.shape[0], where="inputs[0].data")
    return images_from_binary(binary, given.shape[0], where="inputs[0].data")


def _usual(*, binary: bool) -> tuple[WantedOutput, ...]:
    return tuple(WantedOutput(name=name, binary=binary) for name in USUAL)


def _wanted(asked: _Request) -> tuple[WantedOutput, ...]:
    binary = bool(asked.parameters and asked.parameters.binary_data_output)
    if not asked.outputs:
        return _usual(binary=binary)
    if len({output.name for output in asked.outputs}) < len(asked.outputs):
        raise RequestError("an output is asked for twice", where="outputs", do="ask for each output once")
    return tuple(_output(output, f"outputs[{index}]", binary) for index, output in enumerate(asked.outputs))


def _output(output: _Output, where: str, binary: bool) -> WantedOutput:
    parameters = output.parameters or _OutputParameters()
    if output.name not in OUTPUTS:
        do = f"ask for some of {', '.join(OUTPUTS)}"
        raise RequestError(f"there is no output {output.name[:60]!r}", where=f"{where}.name", do=do)
    if parameters.shared_memory_region is not None:
        do = "leave it out: the answer comes in the response"
        raise RequestError("this server shares no memory", where=f"{where}.parameters.shared_memory_region", do=do)
    if parameters.classification and output.name not in RANKED:
        do = f"ask for it on {' or '.join(RANKED)}"
        what = f"{output.name} cannot be ranked"
        raise RequestError(what, where=f"{where}.parameters.classification", do=do)
    return WantedOutput(
        name=output.name,
        binary=binary if parameters.binary_data is None else parameters.binary_data,
        classification=parameters.classification or 0,
    )
