"""The server's Open Inference Protocol V2: what is well asked is read and answered, and all else is refused."""

from __future__ import annotations

import base64
import copy
import json
import re
import struct
import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fieldmark import __version__
from fieldmark.errors import DataError
from fieldmark.server.answering import Answers, encode_infer
from fieldmark.server.asking import USUAL, InferRequest, WantedOutput, parse_infer, read_header_length
from fieldmark.server.metadata import model_metadata, server_metadata
from fieldmark.server.refusals import RequestError
from fieldmark.server.tensors import INPUTS, OUTPUTS

SIZE_PX, MAX_IMAGES = 2, 4
IMAGES = st.lists(st.binary(max_size=40), min_size=1, max_size=MAX_IMAGES)
PIXELS = st.integers(1, MAX_IMAGES).flatmap(lambda n: arrays(np.uint8, (n, SIZE_PX, SIZE_PX, 3)))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["name", "data", "x"]), inner),
    max_leaves=6,
)


def parse(body: bytes, header_length: int | None = None) -> InferRequest:
    return parse_infer(body, header_length, size_px=SIZE_PX, max_images=MAX_IMAGES)


def elements(images: list[bytes]) -> bytes:
    return b"".join(struct.pack("<I", len(image)) + image for image in images)


def asked(name: str, shape: Any, data: Any = None, **fields: Any) -> dict[str, Any]:
    """A request with one input whose data are in the JSON."""
    one = {"name": name, "shape": list(shape), "datatype": INPUTS[name], "data": data}
    return {"inputs": [one if data is not None else {k: v for k, v in one.items() if k != "data"}], **fields}


def binary(name: str, shape: Any, data: bytes, **fields: Any) -> tuple[bytes, int]:
    """(body, header length) of a request with one input whose data follow the JSON."""
    request = asked(name, shape, **fields)
    request["inputs"][0]["parameters"] = {"binary_data_size": len(data)}
    head = json.dumps(request).encode()
    return head + data, len(head)


def in_base64(images: list[bytes]) -> list[str]:
    return [base64.b64encode(image).decode() for image in images]


def same(read: InferRequest, *, images: list[bytes] | None = None, pixels: Any = None) -> bool:
    if images is not None:
        return read.images == tuple(images) and read.pixels is None
    assert read.pixels is not None and read.pixels.dtype == np.uint8
    return read.images is None and np.array_equal(read.pixels, pixels)


@given(IMAGES, st.text(max_size=9))
def test_images_are_read_from_both_forms(images: list[bytes], name: str) -> None:
    body, header_length = binary("image", [len(images)], elements(images), id=name)
    texts = in_base64(images)
    written, as_urls = (
        json.dumps(asked("image", [len(images)], [head + text for text in texts], id=name)).encode()
        for head in ("", "data:image/jpeg;base64,")
    )
    for read in (parse(body, header_length), parse(written), parse(as_urls)):
        assert same(read, images=images) and read.id == name


@given(PIXELS, st.sampled_from([None, 1]))
def test_pixels_are_read_binary_flat_and_nested(pixels: Any, indent: int | None) -> None:
    assert same(parse(*binary("pixels", pixels.shape, pixels.tobytes())), pixels=pixels)
    for data in (pixels.ravel().tolist(), pixels.tolist()):
        written = json.dumps(asked("pixels", pixels.shape, data), indent=indent).encode()
        assert same(parse(written), pixels=pixels)
        assert same(parse(written, len(written)), pixels=pixels)


@given(st.binary(max_size=40))
def test_a_raw_body_is_one_image_and_its_answers_come_binary(image: bytes) -> None:
    read = parse(image, 0)
    assert same(read, images=[image]) and read.id == ""
    assert read.outputs == tuple(WantedOutput(name=name, binary=True) for name in USUAL)


@pytest.mark.parametrize("by_default", [None, False, True])
@pytest.mark.parametrize("own", [None, False, True])
def test_where_an_output_comes_back(by_default: bool | None, own: bool | None) -> None:
    fields = {"parameters": {"binary_data_output": by_default}, "id": None}
    usual = parse(json.dumps(asked("image", [1], [""], **fields)).encode())
    assert usual.outputs == tuple(WantedOutput(name=name, binary=bool(by_default)) for name in USUAL)
    outputs = [{"name": "embedding", "parameters": {"binary_data": own}}, {"name": "logits"}]
    read = parse(json.dumps(asked("image", [1], [""], outputs=outputs, **fields)).encode())
    wanted = by_default if own is None else own
    assert read.outputs == (
        WantedOutput(name="embedding", binary=bool(wanted)),
        WantedOutput(name="logits", binary=bool(by_default)),
    )


def test_what_the_protocol_adds_later_is_passed_over() -> None:
    request = asked("image", [1], ["QQ=="], parameters={"priority": 3, "sequence_id": "a"}, later={"a": [1]})
    request["inputs"][0] |= {"parameters": {"content_type": "base64", "x": [None]}, "later": 1}
    request["outputs"] = [{"name": "logits", "parameters": {"classification": 2, "x": 1}, "later": 1}]
    read = parse(json.dumps(request).encode())
    assert same(read, images=[b"A"])
    assert read.outputs == (WantedOutput(name="logits", binary=False, classification=2),)


@example("AAAA=")
@given(st.text(st.sampled_from("AQz+/-_= \n\\"), max_size=9))
def test_base64_is_read_as_the_standard_says_and_all_else_is_refused(text: str) -> None:
    body = json.dumps(asked("image", [1], [text])).encode()
    if re.fullmatch(r"([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?", text):
        assert parse(body).images == (base64.b64decode(text),)
    else:
        assert refusal(body).where == "inputs[0].data[0]"


# Whatever a client sends


ZEROS = [0] * SIZE_PX * SIZE_PX * 3
GOOD: list[tuple[bytes, int | None]] = [
    (json.dumps(asked("image", [2], ["QUJD", "QQ=="], id="a", outputs=[{"name": "labels"}])).encode(), None),
    (json.dumps(asked("pixels", [1, 2, 2, 3], np.reshape(ZEROS, (1, 2, 2, 3)).tolist())).encode(), None),
    (json.dumps(asked("pixels", [1, 2, 2, 3], ZEROS)).encode(), None),
    binary("image", [2], elements([b"ABC", b"A"]), parameters={"binary_data_output": True}),
    binary("pixels", [1, 2, 2, 3], bytes(ZEROS), outputs=[{"name": "logits", "parameters": {"classification": 1}}]),
]


def is_read_or_refused(body: bytes, header_length: int | None) -> None:
    try:
        read = parse(body, header_length)
    except RequestError as error:
        assert error.what and error.where and error.do and error.status in (400, 413)
        assert len(str(error)) < 1000
        return
    assert (read.images is None) != (read.pixels is None)
    rows = read.images if read.images is not None else read.pixels
    assert rows is not None and 1 <= len(rows) <= MAX_IMAGES
    assert read.pixels is None or read.pixels.shape[1:] == (SIZE_PX, SIZE_PX, 3)
    names = [output.name for output in read.outputs]
    assert names and len(set(names)) == len(names) and set(names) <= set(OUTPUTS)


@given(
    st.sampled_from(GOOD),
    st.floats(0, 1),
    st.integers(0, 6),
    st.binary(max_size=6) | st.sampled_from([b"[", b"]", b",", b"-", b"1e9", b"NaN", b"null", b'"', b"\xff", b"{"]),
    st.just("own") | st.none() | st.integers(-5, 300) | st.integers(),
)
def test_any_damage_gives_a_request_or_a_refusal(
    good: tuple[bytes, int | None], at: float, gone: int, put: bytes, header_length: Any
) -> None:
    body, own = good
    start = round(at * len(body))
    damaged = body[:start] + put + body[start + gone :]
    is_read_or_refused(damaged, own if header_length == "own" else header_length)


@pytest.mark.parametrize(("body", "header_length"), GOOD)
def test_every_truncation_is_refused(body: bytes, header_length: int | None) -> None:
    parse(body, header_length)
    for end in range(len(body)):
        with pytest.raises(RequestError):
            parse(body[:end], header_length)


def places(value: Any) -> list[tuple[Any, Any]]:
    """(container, key) of every value in a JSON document."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place for key, inner in pairs for place in [(value, key), *places(inner)]]


@given(st.sampled_from(GOOD), st.integers(0, 99), JSON)
def test_any_other_value_in_any_field_gives_a_request_or_a_refusal(
    good: tuple[bytes, int | None], place: int, value: Any
) -> None:
    body, header_length = good
    request = copy.deepcopy(json.loads(body[:header_length]))
    found = places(request)
    container, key = found[place % len(found)]
    container[key] = value
    head = json.dumps(request).encode()
    is_read_or_refused(
        head + body[len(body) if header_length is None else header_length :], header_length and len(head)
    )


@given(JSON)
def test_any_other_json_is_refused(value: Any) -> None:
    with pytest.raises(RequestError):
        parse(json.dumps(value).encode())


IMAGE = asked("image", [1], ["QQ=="])
PIXEL = asked("pixels", [1, 2, 2, 3], ZEROS)
P = "inputs[0].parameters"


def with_input(request: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {**request, "inputs": [{**request["inputs"][0], **fields}]}


def wanting(*outputs: Any) -> dict[str, Any]:
    return {**IMAGE, "outputs": list(outputs)}


REFUSED_IN_JSON = {
    "no object": ([], "body", "Expected `object`"),
    "no inputs": ({}, "body", "missing required field `inputs`"),
    "inputs empty": ({"inputs": []}, "inputs", "no input"),
    "both inputs": ({"inputs": IMAGE["inputs"] + PIXEL["inputs"]}, "inputs", "image and pixels"),
    "duplicate input": ({"inputs": IMAGE["inputs"] * 2}, "inputs", "twice"),
    "unknown input": ({"inputs": [{**IMAGE["inputs"][0], "name": "x" * 999}]}, "inputs[0].name", "no input 'xxx"),
    "unknown second": ({"inputs": IMAGE["inputs"] + [{**IMAGE["inputs"][0], "name": "y"}]}, "inputs[1].name", "'y'"),
    "no name": ({"inputs": [{"shape": [1], "datatype": "BYTES"}]}, "inputs[0]", "`name`"),
    "no shape": ({"inputs": [{"name": "image", "datatype": "BYTES"}]}, "inputs[0]", "`shape`"),
    "no datatype": ({"inputs": [{"name": "image", "shape": [1]}]}, "inputs[0]", "`datatype`"),
    "no data": (asked("image", [1]), "inputs[0].data", "no data"),
    "null data": (with_input(IMAGE, data=None), "inputs[0].data", "no data"),
    "unknown datatype": (with_input(IMAGE, datatype="JPEG"), "inputs[0].datatype", "not 'JPEG'"),
    "another datatype": (with_input(PIXEL, datatype="FP32"), "inputs[0].datatype", "pixels is UINT8"),
    "negative shape": (with_input(IMAGE, shape=[-1]), "inputs[0].shape[0]", ">= 0"),
    "no rows": (with_input(IMAGE, shape=[0], data=[]), "inputs[0].shape", "1 or more"),
    "no sides": (with_input(IMAGE, shape=[]), "inputs[0].shape", "not []"),
    "two sides": (with_input(IMAGE, shape=[1, 1]), "inputs[0].shape", "not [1, 1]"),
    "fraction": (with_input(IMAGE, shape=[1.5]), "inputs[0].shape[0]", "got `float`"),
    "shape too wide": (with_input(PIXEL, shape=[1, 4, 4, 3]), "inputs[0].shape", "[N, 2, 2, 3]"),
    "long shape": (with_input(PIXEL, shape=[1] * 9999), "inputs[0].shape", "1, ...]"),
    "overflow": (with_input(PIXEL, shape=[2**61, 2, 2, 3]), "inputs[0].shape", "4 are allowed"),
    "past 64 bits": (with_input(PIXEL, shape=[2**64 + 1, 2, 2, 3]), "inputs[0].shape[0]", "<="),
    "too many": (with_input(IMAGE, shape=[5], data=["QQ=="] * 5), "inputs[0].shape", "5 images"),
    "fewer images": (with_input(IMAGE, shape=[2]), "inputs[0].data", "1 strings, and the shape says 2"),
    "more images": (with_input(IMAGE, data=["QQ=="] * 2), "inputs[0].data", "2 strings"),
    "no base64": (with_input(IMAGE, data=["/9j/4AAQ!"]), "inputs[0].data[0]", "base64"),
    "percents in a data URL": (with_input(IMAGE, data=["data:image/png,QQ=="]), "inputs[0].data[0]", "base64"),
    "no ASCII": (with_input(IMAGE, data=["QQ==é"]), "inputs[0].data[0]", "base64"),
    "no string": (with_input(IMAGE, data=[65]), "inputs[0].data[0]", "got `int`"),
    "no list": (with_input(IMAGE, data="QQ=="), "inputs[0].data", "Expected `array`"),
    "content type": (with_input(IMAGE, parameters={"content_type": "str"}), f"{P}.content_type", "'str'"),
    "256": (with_input(PIXEL, data=[*ZEROS[1:], 256]), "inputs[0].data[11]", "<= 255"),
    "-1": (with_input(PIXEL, data=[-1, *ZEROS[1:]]), "inputs[0].data[0]", ">= 0"),
    "0.5": (with_input(PIXEL, data=[0.5, *ZEROS[1:]]), "inputs[0].data[0]", "got `float`"),
    "true": (with_input(PIXEL, data=[True, *ZEROS[1:]]), "inputs[0].data[0]", "got `bool`"),
    "NaN": (with_input(PIXEL, data=[float("nan"), *ZEROS[1:]]), "body", "not JSON"),
    "null pixel": (with_input(PIXEL, data=[None, *ZEROS[1:]]), "inputs[0].data[0]", "got `null`"),
    "text pixel": (with_input(PIXEL, data=["][", *ZEROS[1:]]), "inputs[0].data[0]", "got `str`"),
    "one number": (with_input(PIXEL, data=1), "inputs[0].data", "1 numbers"),
    "too few numbers": (with_input(PIXEL, data=ZEROS[1:]), "inputs[0].data", "11 numbers, and the shape says 12"),
    "too many numbers": (with_input(PIXEL, data=[*ZEROS, 0]), "inputs[0].data", "13 numbers"),
    "nested too little": (with_input(PIXEL, data=[ZEROS]), "inputs[0].data", "neither flat nor nested"),
    "ragged": (
        with_input(PIXEL, data=[[[[0] * 3, [0] * 3], [[0] * 4, [0] * 2]]]),
        "inputs[0].data",
        "neither flat nor nested",
    ),
    "empty lists": (with_input(PIXEL, data=[[], *ZEROS]), "inputs[0].data", "not JSON"),
    "size without header": (with_input(IMAGE, parameters={"binary_data_size": 4}), "inputs[0].data", "given twice"),
    "only size": (with_input(IMAGE, data=None, parameters={"binary_data_size": 4}), f"{P}.binary_data_size", "0 do"),
    "negative size": (with_input(IMAGE, parameters={"binary_data_size": -4}), f"{P}.binary_data_size", ">= 0"),
    "id": ({**IMAGE, "id": 5}, "id", "got `int`"),
    "unknown output": (wanting({"name": "x"}), "outputs[0].name", "no output 'x'"),
    "duplicate output": (wanting({"name": "labels"}, {"name": "labels"}), "outputs", "twice"),
    "nameless output": (wanting({}), "outputs[0]", "`name`"),
    "ranked labels": (
        wanting({"name": "labels", "parameters": {"classification": 1}}),
        "outputs[0].parameters.classification",
        "labels cannot be ranked",
    ),
    "negative ranks": (
        wanting({"name": "logits", "parameters": {"classification": -1}}),
        "outputs[0].parameters.classification",
        ">= 0",
    ),
    "shared memory": (
        wanting({"name": "logits", "parameters": {"shared_memory_region": "r"}}),
        "outputs[0].parameters.shared_memory_region",
        "shares no memory",
    ),
}


def refusal(body: bytes, header_length: int | None = None) -> RequestError:
    with pytest.raises(RequestError) as caught:
        parse(body, header_length)
    return caught.value


@pytest.mark.parametrize(("request_", "where", "what"), REFUSED_IN_JSON.values(), ids=REFUSED_IN_JSON)
def test_a_mistaken_request_is_told_what_is_wrong_and_where(request_: Any, where: str, what: str) -> None:
    error = refusal(json.dumps(request_).encode())
    assert error.where == where and what in error.what and error.do and isinstance(error, DataError)
    assert error.status == (413 if "allowed" in error.what else 400)


def with_size(body: bytes, header_length: int, size: object) -> tuple[bytes, int]:
    """The request with another `binary_data_size`."""
    request = json.loads(body[:header_length])
    request["inputs"][0]["parameters"]["binary_data_size"] = size
    head = json.dumps(request).encode()
    return head + body[header_length:], len(head)


ONE = binary("image", [1], elements([b"ABC"]))
REFUSED_IN_BYTES: dict[str, tuple[tuple[bytes, int | None], str, str]] = {
    "empty": ((b"", None), "body", "not JSON"),
    "no JSON": ((b"\xff\xd8\xff\xe0", None), "body", "not JSON"),
    "no UTF-8": ((b'{"inputs":[{"name":"\xff"}]}', None), "body", "not JSON"),
    "two documents": ((json.dumps(IMAGE).encode() * 2, None), "body", "trailing"),
    "deep": ((b"[" * 10_000 + b"]" * 10_000, None), "body", "Expected `object`"),
    "header past the body": ((b"{}", 3), "header Inference-Header-Content-Length", "the body has 2"),
    "header below zero": ((b"{}", -1), "header Inference-Header-Content-Length", "-1 bytes"),
    "header in the JSON": ((ONE[0], ONE[1] - 1), "body", "not JSON"),
    "header in the data": ((ONE[0], ONE[1] + 1), "body", "not JSON"),
    "unclaimed bytes": (
        (json.dumps(IMAGE).encode() + b"x", len(json.dumps(IMAGE))),
        f"{P}.binary_data_size",
        "1 byte",
    ),
    "larger size": (with_size(*ONE, 8), f"{P}.binary_data_size", "8 bytes are said to follow the JSON, and 7 do"),
    "smaller size": (with_size(*ONE, 6), f"{P}.binary_data_size", "6 bytes"),
    "size of 2^62": (with_size(*ONE, 2**62), f"{P}.binary_data_size", "and 7 do"),
    "size of 2^64": (with_size(*ONE, 2**64), f"{P}.binary_data_size", "<="),
    "size as text": (with_size(*ONE, "7"), f"{P}.binary_data_size", "got `str`"),
    "element of 4 GB": (binary("image", [1], b"\xff\xff\xff\xffA"), "inputs[0].data", "element 0 of 1 is cut off"),
    "half a length": (binary("image", [2], elements([b"A"]) + b"\0\0"), "inputs[0].data", "element 1 of 2"),
    "no element": (binary("image", [1], b""), "inputs[0].data", "element 0 of 1"),
    "an element more": (binary("image", [1], elements([b"A", b"B"])), "inputs[0].data", "5 bytes are left over"),
    "bytes for more pixels": (
        binary("pixels", [2, 2, 2, 3], bytes(12)),
        "inputs[0].data",
        "12 bytes, and the shape says 24",
    ),
    "bytes for fewer pixels": (binary("pixels", [1, 2, 2, 3], bytes(24)), "inputs[0].data", "24 bytes"),
}


@pytest.mark.parametrize(("sent", "where", "what"), REFUSED_IN_BYTES.values(), ids=REFUSED_IN_BYTES)
def test_a_lying_body_is_told_what_is_wrong_and_where(sent: tuple[bytes, int | None], where: str, what: str) -> None:
    error = refusal(*sent)
    assert error.where == where and what in error.what and error.do and error.status == 400


def test_images_after_the_json_are_not_base64() -> None:
    body, header_length = ONE
    request = json.loads(body[:header_length])
    request["inputs"][0]["parameters"]["content_type"] = "base64"
    head = json.dumps(request).encode()
    assert refusal(head + body[header_length:], len(head)).where == f"{P}.content_type"


@pytest.mark.parametrize("field", ["data", "parameters", "id"])
def test_json_ten_thousand_deep_is_refused_in_every_field(field: str) -> None:
    deep = b"[" * 10_000 + b"]" * 10_000
    for request in (IMAGE, PIXEL):
        written = json.dumps(with_input({**request, "id": "HERE"}, **{} if field == "id" else {field: "HERE"}))
        refusal(written.replace('"HERE"', "DEEP", 1).encode().replace(b"DEEP", deep).replace(b'"HERE"', b'""'))


def test_json_nested_past_what_the_interpreter_allows_is_refused_even_in_a_field_that_is_passed_over() -> None:
    assert refusal(b'{"x":' + b"[" * 10_000_000).where == "body"


LYING = {
    "pixels in JSON": (json.dumps(asked("pixels", [10**6, 4000, 4000, 3], [1])).encode(), None),
    "pixels after it": binary("pixels", [10**6, 4000, 4000, 3], b"A"),
    "images in JSON": (json.dumps(asked("image", [10**6], ["QQ=="])).encode(), None),
    "images after it": binary("image", [10**6], b"\xff\xff\xff\xffA"),
    "size": with_size(*ONE, 2**40),
    "lists of lists": (
        json.dumps(asked("pixels", [1, 4000, 4000, 3], [])).encode().replace(b"[]", b"[" + b"[]," * 100_000 + b"[]]"),
        None,
    ),
    "lists in an image": (
        json.dumps(asked("image", [10], [])).encode().replace(b"[]", b"[" + b"[]," * 100_000 + b"[]]"),
        None,
    ),
}


@pytest.mark.parametrize(("body", "header_length"), LYING.values(), ids=LYING)
def test_memory_is_taken_by_what_arrived_and_not_by_what_was_said(body: bytes, header_length: int | None) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(RequestError):
            parse_infer(body, header_length, size_px=4000, max_images=10**9)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 100_000 + 4 * len(body)


@pytest.mark.parametrize("text", ["-1", "1.0", "", " 5", "1_0", "٣", "9" * 5000, "0x10", "+1"])
def test_a_header_that_is_no_length_is_refused(text: str) -> None:
    with pytest.raises(RequestError, match="Inference-Header-Content-Length"):
        read_header_length(text)
    assert (read_header_length(None), read_header_length("0"), read_header_length("123")) == (None, 0, 123)


# Answers


FLOATS = st.floats(-1e6, 1e6, width=32)
NAMES = st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=4), min_size=1, max_size=5)


@st.composite
def answers(draw: Any) -> Answers:
    classes = tuple(dict.fromkeys(draw(NAMES)))
    rows = draw(st.integers(1, MAX_IMAGES))
    return Answers(
        classes=classes,
        probabilities=draw(arrays(np.float64, (rows, len(classes)), elements=st.floats(0, 1))),
        labels=tuple(tuple(draw(st.lists(st.sampled_from(classes), max_size=2))) for _ in range(rows)),
        logits=draw(arrays(np.float32, (rows, len(classes)), elements=FLOATS)),
        embedding=draw(arrays(np.float32, (rows, 3), elements=FLOATS)),
    )


WANTED = st.lists(
    st.builds(WantedOutput, name=st.sampled_from(sorted(OUTPUTS)), binary=st.booleans()),
    min_size=1,
    unique_by=lambda output: output.name,
).map(tuple)


def encoded(answered: Answers, wanted: tuple[WantedOutput, ...], request_id: str = "7") -> tuple[bytes, int | None]:
    return encode_infer(answered, wanted, model_name="m", model_version="2", request_id=request_id)


def outputs_of(body: bytes, header_length: int | None) -> dict[str, tuple[str, list[int], list[Any]]]:
    """name -> (datatype, shape, flat values), read as the protocol says."""
    said, tail, found = json.loads(body[:header_length]), body[header_length or len(body) :], {}
    for output in said["outputs"]:
        size = output.get("parameters", {}).get("binary_data_size")
        mine, tail = tail[: size or 0], tail[size or 0 :]
        values = output.get("data")
        if size is not None and output["datatype"] == "FP32":
            values = list(struct.unpack(f"<{size // 4}f", mine))
        elif size is not None:
            values = []
            while mine:
                end = 4 + struct.unpack("<I", mine[:4])[0]
                values, mine = [*values, mine[4:end].decode()], mine[end:]
        found[output["name"]] = (output["datatype"], output["shape"], values)
    assert tail == b""
    return found


@given(answers(), WANTED, st.text(st.characters(exclude_categories=["Cs"]), max_size=5))
def test_answers_come_back_as_they_were_in_either_form(
    answered: Answers, wanted: tuple[WantedOutput, ...], request_id: str
) -> None:
    body, header_length = encoded(answered, wanted, request_id)
    said = json.loads(body[:header_length])
    assert (said["model_name"], said["model_version"], said.get("id", "")) == ("m", "2", request_id)
    assert (header_length is None) == (not any(output.binary for output in wanted))
    found = outputs_of(body, header_length)
    assert list(found) == [output.name for output in wanted]
    for name, (datatype, shape, values) in found.items():
        assert datatype == OUTPUTS[name]
        if name == "labels":
            assert shape == [len(answered.labels)] and values == ["|".join(labels) for labels in answered.labels]
            continue
        right = np.asarray(getattr(answered, name), np.float32)
        assert shape == list(right.shape) and np.array_equal(np.float32(values), right.ravel())


@given(answers(), st.sampled_from(["probabilities", "logits"]), st.integers(1, 7), st.booleans())
def test_classification_ranks_each_row(answered: Answers, name: str, k: int, in_binary: bool) -> None:
    wanted = WantedOutput(name=name, binary=in_binary, classification=k)
    datatype, shape, strings = outputs_of(*encoded(answered, (wanted,)))[name]
    values = np.asarray(getattr(answered, name), np.float32)
    kept = min(k, len(answered.classes))
    assert (datatype, shape) == ("BYTES", [len(values), kept])
    right = [sorted(range(len(row)), key=lambda i: -row[i])[:kept] for row in values]
    read = [text.split(":", 2) for text in strings]
    assert [int(index) for _, index, _ in read] == [i for order in right for i in order]
    assert [label for *_, label in read] == [answered.classes[i] for order in right for i in order]
    assert [np.float32(value) for value, *_ in read] == [row[i] for row, order in zip(values, right) for i in order]


def test_an_embedding_that_is_not_finite_is_still_json() -> None:
    numbers = np.float32([[np.nan, np.inf, 1]])
    answered = Answers(classes=("a",), probabilities=numbers, labels=((),), logits=numbers, embedding=numbers)
    body, _ = encoded(answered, (WantedOutput(name="embedding", binary=False),))
    assert json.loads(body)["outputs"][0]["data"] == [None, None, 1.0]


def test_the_server_says_what_it_is() -> None:
    assert json.loads(server_metadata()) == {
        "name": "fieldmark",
        "version": __version__,
        "extensions": ["classification", "binary_tensor_data"],
    }


def test_a_model_says_what_it_takes_and_gives() -> None:
    said = json.loads(model_metadata("m", ("1", "2"), size_px=224, n_classes=10, embedding_size=512))
    assert said == {
        "name": "m",
        "versions": ["1", "2"],
        "platform": "onnx_onnxv1",
        "inputs": [
            {"name": "image", "datatype": "BYTES", "shape": [-1]},
            {"name": "pixels", "datatype": "UINT8", "shape": [-1, 224, 224, 3]},
        ],
        "outputs": [
            {"name": "probabilities", "datatype": "FP32", "shape": [-1, 10]},
            {"name": "labels", "datatype": "BYTES", "shape": [-1]},
            {"name": "logits", "datatype": "FP32", "shape": [-1, 10]},
            {"name": "embedding", "datatype": "FP32", "shape": [-1, 512]},
        ],
    }


# A client that nobody here wrote


@pytest.fixture(scope="module")
def triton() -> Any:
    return pytest.importorskip("tritonclient.http", reason="tritonclient[http] is not installed")


@given(images=IMAGES, in_binary=st.booleans(), k=st.integers(0, 3))
def test_tritonclient_asks_for_images(triton: Any, images: list[bytes], in_binary: bool, k: int) -> None:
    array = np.empty(len(images), np.object_)
    array[:] = images if in_binary else in_base64(images)
    given_input = triton.InferInput("image", [len(images)], "BYTES")
    given_input.set_data_from_numpy(array, binary_data=in_binary)
    outputs = [triton.InferRequestedOutput("logits", binary_data=not in_binary, class_count=k)]
    client = triton.InferenceServerClient
    read = parse(*client.generate_request_body([given_input], outputs=outputs, request_id="a", priority=1, timeout=9))
    assert same(read, images=images) and read.id == "a"
    assert read.outputs == (WantedOutput(name="logits", binary=not in_binary, classification=k),)
    usual = parse(*client.generate_request_body([given_input]))
    assert usual.outputs == tuple(WantedOutput(name=name, binary=True) for name in USUAL)


@given(pixels=PIXELS, in_binary=st.booleans())
def test_tritonclient_asks_with_pixels(triton: Any, pixels: Any, in_binary: bool) -> None:
    given_input = triton.InferInput("pixels", list(pixels.shape), "UINT8")
    given_input.set_data_from_numpy(pixels, binary_data=in_binary)
    body, header_length = triton.InferenceServerClient.generate_request_body([given_input])
    assert same(parse(body, header_length), pixels=pixels)


def test_tritonclient_is_told_that_no_memory_is_shared(triton: Any) -> None:
    given_input = triton.InferInput("image", [1], "BYTES")
    given_input.set_data_from_numpy(np.array([b"A"], np.object_))
    output = triton.InferRequestedOutput("logits")
    output.set_shared_memory("region", 40)
    sent = triton.InferenceServerClient.generate_request_body([given_input], outputs=[output])
    assert "shares no memory" in refusal(*sent).what


@given(answered=answers(), wanted=WANTED)
def test_tritonclient_reads_the_answers(triton: Any, answered: Answers, wanted: tuple[WantedOutput, ...]) -> None:
    body, header_length = encoded(answered, wanted)
    result = triton.InferenceServerClient.parse_response_body(body, header_length=header_length)
    assert result.get_response()["id"] == "7"
    for output in wanted:
        read = result.as_numpy(output.name)
        if output.name == "labels":
            texts = [text.decode() if output.binary else text for text in read]
            assert texts == ["|".join(labels) for labels in answered.labels]
        else:
            right = np.asarray(getattr(answered, output.name), np.float32)
            assert read.dtype == np.float32 and np.array_equal(read, right)


@given(answered=answers(), k=st.integers(1, 7), in_binary=st.booleans())
def test_tritonclient_reads_classifications(triton: Any, answered: Answers, k: int, in_binary: bool) -> None:
    wanted = WantedOutput(name="probabilities", binary=in_binary, classification=k)
    body, header_length = encoded(answered, (wanted,))
    read = triton.InferenceServerClient.parse_response_body(body, header_length=header_length).as_numpy(
        "probabilities"
    )
    assert read.shape == (len(answered.labels), min(k, len(answered.classes)))
    best = [row[0].decode() if in_binary else row[0] for row in read]
    chosen = np.asarray(answered.probabilities, np.float32).argmax(axis=1)
    assert [text.split(":", 2)[1:] for text in best] == [[str(i), answered.classes[i]] for i in chosen]
