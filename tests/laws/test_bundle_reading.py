"""A bundle is whole or refused, and the refusal says which file or field is at fault."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fieldmark.bundle.layout import GRAPH, MANIFEST, SUMS, is_plain
from fieldmark.bundle.reading import open_bundle, parse
from fieldmark.bundle.schema import READABLE, SCHEMA, Canary, Decision
from fieldmark.errors import BundleError
from makers_bundle import CLASSES, manifest, write_bundle, write_bundle_with_canaries


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "tiny.fieldmark")


def refusal(path: Path) -> BundleError:
    with pytest.raises(BundleError) as caught:
        open_bundle(path)
    assert caught.value.what and caught.value.where and caught.value.do
    return caught.value


def rewrite(
    bundle: Path, change: Callable[[dict[str, Any]], object], dump: Callable[[Any], str] = json.dumps
) -> None:
    """Changes fieldmark.json as somebody would who also mends its checksum."""
    fields = json.loads((bundle / MANIFEST).read_text())
    change(fields)
    replace(bundle, dump(fields).encode())


def replace(bundle: Path, encoded: bytes) -> None:
    old = hashlib.sha256((bundle / MANIFEST).read_bytes()).hexdigest()
    (bundle / MANIFEST).write_bytes(encoded)
    sums = (bundle / SUMS).read_text().replace(old, hashlib.sha256(encoded).hexdigest())
    (bundle / SUMS).write_text(sums)


def test_reads_back_what_was_written(bundle: Path) -> None:
    opened = open_bundle(bundle)
    assert opened.manifest == manifest() and opened.graph.is_file()


def test_sums_are_sha256sums_own(bundle: Path) -> None:
    done = subprocess.run(
        ["sha256sum", "--strict", "-c", SUMS], cwd=bundle, capture_output=True, text=True, check=True
    )
    assert set(done.stdout.split("\n")) == {f"{MANIFEST}: OK", f"{GRAPH}: OK", ""}


def test_manifest_is_readable(tmp_path: Path) -> None:
    """Numbers of one list stand on one line, and class names that look like such a list are left alone."""
    odd = ("[\n1,\n2\n]", "[ 1,  2 ]", "plain")
    bundle = write_bundle(tmp_path / "b", classes=odd)
    assert open_bundle(bundle).manifest.classes == odd
    whole = write_bundle_with_canaries(tmp_path / "c")
    assert len((whole / MANIFEST).read_text().splitlines()) < 150


@pytest.mark.parametrize(
    ("path", "word"), [("none", "no such bundle"), ("empty", "not a bundle"), ("file", "this is a file")]
)
def test_refuses_what_is_no_bundle(tmp_path: Path, path: str, word: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("x")
    assert word in refusal(tmp_path / path).what


def test_names_where_an_old_bundle_is_kept(bundle: Path) -> None:
    kept = bundle.rename(bundle.parent / f".{bundle.name}.previous")
    assert str(kept) in refusal(bundle).do


@pytest.mark.parametrize("name", [GRAPH, SUMS])
def test_names_a_missing_file(bundle: Path, name: str) -> None:
    (bundle / name).unlink()
    assert name in refusal(bundle).what


@pytest.mark.parametrize("name", [GRAPH, MANIFEST])
def test_names_an_altered_file(bundle: Path, name: str) -> None:
    encoded = bytearray((bundle / name).read_bytes())
    encoded[len(encoded) // 2] ^= 1
    (bundle / name).write_bytes(encoded)
    assert name in refusal(bundle).what


def test_ignores_what_is_not_listed(bundle: Path) -> None:
    (bundle / ".git").mkdir()
    (bundle / ".git" / "HEAD").write_text("ref")
    (bundle / ".gitattributes").write_text("*.onnx filter=lfs")
    assert open_bundle(bundle).manifest == manifest()


@pytest.mark.parametrize(
    "name", ["../secret", "/etc/passwd", "a/../../secret", "C:/secret", "..\\secret", "a//b", "./a"]
)
def test_refuses_names_that_leave_the_folder(bundle: Path, name: str) -> None:
    (bundle.parent / "secret").write_text("s")
    with (bundle / SUMS).open("a") as sums:
        sums.write(f"{'0' * 64}  {name}\n")
    assert "leads out" in refusal(bundle).what


def test_refuses_links_that_leave_the_folder(bundle: Path) -> None:
    (bundle / GRAPH).rename(bundle.parent / "elsewhere.onnx")
    (bundle / GRAPH).symlink_to(bundle.parent / "elsewhere.onnx")
    assert "leads out" in refusal(bundle).what


def test_waits_for_no_pipe(bundle: Path) -> None:
    (bundle / GRAPH).unlink()
    os.mkfifo(bundle / GRAPH)
    assert "missing" in refusal(bundle).what


@pytest.mark.parametrize("line", ["junk", f"{'0' * 63}  x", f"{'g' * 64}  x", "\x00" * 80])
def test_refuses_lines_that_are_no_sum(bundle: Path, line: str) -> None:
    (bundle / SUMS).write_text((bundle / SUMS).read_text() + line + "\n")
    assert "line 3" in refusal(bundle).where


def test_refuses_a_name_listed_twice(bundle: Path) -> None:
    (bundle / SUMS).write_text((bundle / SUMS).read_text() * 2)
    assert "listed" in refusal(bundle).what


@pytest.mark.parametrize("name", [MANIFEST, GRAPH])
def test_refuses_files_that_no_sum_covers(bundle: Path, name: str) -> None:
    lines = (bundle / SUMS).read_text().splitlines(keepends=True)
    (bundle / SUMS).write_text("".join(line for line in lines if name not in line))
    assert name in refusal(bundle).what


@pytest.mark.parametrize(("schema", "word"), [(SCHEMA + 1, "newer"), (READABLE[0] - 1, "older")])
def test_says_which_schema_it_is(bundle: Path, schema: int, word: str) -> None:
    rewrite(bundle, lambda fields: fields.update(schema=schema, never_heard_of=1))
    error = refusal(bundle)
    assert word in error.what and str(schema) in error.what and "$.schema" in error.where


def test_opens_what_was_made_before_labels_had_slopes(bundle: Path) -> None:
    def as_it_was(fields: dict[str, Any]) -> None:
        fields["schema"] = 1
        del fields["decision"]["slopes"], fields["decision"]["intercepts"]

    rewrite(bundle, as_it_was)
    assert open_bundle(bundle).manifest == msgspec.structs.replace(manifest(), schema=1)


def test_names_an_unknown_field(bundle: Path) -> None:
    rewrite(bundle, lambda fields: fields["decision"].update(mystery=1))
    error = refusal(bundle)
    assert "mystery" in error.what and "$.decision" in error.where


@pytest.mark.parametrize("name", [field.name for field in msgspec.structs.fields(type(manifest())) if field.required])
def test_names_a_missing_field(bundle: Path, name: str) -> None:
    rewrite(bundle, lambda fields: fields.pop(name))
    assert name in refusal(bundle).what


def test_names_a_field_of_another_type(bundle: Path) -> None:
    rewrite(bundle, lambda fields: fields["geometry"].update(size_px="big"))
    assert "$.geometry.size_px" in refusal(bundle).where


@pytest.mark.parametrize(
    "encoded",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"\xff\xfe", id="not UTF-8"),
        pytest.param(b'{"schema": 1, "recipe": ' + b'{"a":' * 100_000 + b"1" + b"}" * 100_001, id="deep"),
        pytest.param(b'{"schema": 1, "recipe": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", id="deep lists"),
        pytest.param(b'{"schema": 1, "embedding_size": ' + b"9" * 5000 + b"}", id="huge number"),
        pytest.param(b"[1]", id="no object"),
        pytest.param(b'"x"', id="a word"),
    ],
)
def test_refuses_json_that_is_none(bundle: Path, encoded: bytes) -> None:
    replace(bundle, encoded)
    assert MANIFEST in refusal(bundle).what


def test_refuses_a_huge_manifest(bundle: Path) -> None:
    replace(bundle, b" " * (64 * 2**20) + (bundle / MANIFEST).read_bytes())
    assert "larger" in refusal(bundle).what


CANARY = Canary(file="canaries/a.png", pixels_sha256="0" * 64, tiles=(0.0,) * 48, probabilities=(1.0, 0.0, 0.0))
CONTRADICTIONS = {
    "decision.temperature": [{"decision": Decision(temperature=value)} for value in (0.0, -1.0)],
    "decision.thresholds": [
        {"decision": Decision(thresholds=(0.5,) * len(CLASSES))},
        {"task": "multi", "decision": Decision(thresholds=(0.5,))},
        {"task": "multi", "decision": Decision(thresholds=(0.5, 0.5, 1.5))},
    ],
    "classes": [{"classes": ()}, {"classes": ("a", "a", "b")}, {"classes": ("a", "", "b")}],
    "embedding_size": [{"embedding_size": 0}],
    "canaries[0].file": [{"canaries": (msgspec.structs.replace(CANARY, file="../x"),)}],
    "canaries[0].tiles": [{"canaries": (msgspec.structs.replace(CANARY, tiles=()),)}],
    "canaries[0].probabilities": [
        {"canaries": (msgspec.structs.replace(CANARY, probabilities=value),)} for value in ((1.0,), (2.0, 0.0, 0.0))
    ],
}


@pytest.mark.parametrize(("field", "changes"), [(f, c) for f, several in CONTRADICTIONS.items() for c in several])
def test_names_the_field_that_contradicts(field: str, changes: dict[str, Any]) -> None:
    with pytest.raises(BundleError) as caught:
        parse(msgspec.json.encode(manifest(**changes)), where=Path(MANIFEST))
    assert f"$.{field}" in caught.value.where


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999", "null"])
def test_refuses_numbers_that_are_none(bundle: Path, number: str) -> None:
    text = (bundle / MANIFEST).read_text()
    replace(bundle, text.replace('"temperature": 1.5', f'"temperature": {number}').encode())
    assert MANIFEST in refusal(bundle).what


def test_refuses_a_canary_that_no_sum_covers(bundle: Path) -> None:
    rewrite(bundle, lambda fields: fields.update(canaries=[msgspec.to_builtins(CANARY)]))
    assert CANARY.file in refusal(bundle).what


@given(
    st.binary(max_size=300) | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(msgspec.json.encode)
)
def test_no_bytes_make_it_stumble(encoded: bytes) -> None:
    with pytest.raises(BundleError):
        parse(encoded, where=Path(MANIFEST))


@given(data=st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
def test_any_altered_byte_is_found(bundle: Path, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from([MANIFEST, GRAPH]))
    whole = (bundle / name).read_bytes()
    at, by = data.draw(st.integers(0, len(whole) - 1)), data.draw(st.integers(1, 255))
    (bundle / name).write_bytes(whole[:at] + bytes([whole[at] ^ by]) + whole[at + 1 :])
    try:
        assert name in refusal(bundle).what
    finally:
        (bundle / name).write_bytes(whole)


@given(st.text(alphabet="ab./\\:\n\x00", min_size=1, max_size=12))
def test_plain_names_stay_inside(name: str) -> None:
    if is_plain(name):
        assert not Path(name).is_absolute() and not os.path.normpath(name).startswith("..")
        assert os.path.normpath(name) == name
