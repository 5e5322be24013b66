"""Every form that a graph can be written in: it answers as the float32 graph does, or it is not written."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner
from onnx.checker import ValidationError

import makers_bundle as make
import makers_combining as combining
from fieldmark.bundle.layout import GRAPH
from fieldmark.bundle.reading import open_bundle
from fieldmark.bundle.schema import Decision, Proof, Variant
from fieldmark.bundle.writing import seal, staged
from fieldmark.cli.export import command
from fieldmark.combining.run import combine
from fieldmark.conversion import onnx as onnx_form
from fieldmark.conversion import openvino as openvino_form
from fieldmark.conversion.exported import Exported
from fieldmark.conversion.page import page
from fieldmark.conversion.proving import why_not
from fieldmark.conversion.quantising import parts_of
from fieldmark.conversion.row import FORMS, Written, missing
from fieldmark.conversion.run import export
from fieldmark.conversion.telling import HEAD, rows, table
from fieldmark.cores import instruction_sets
from fieldmark.data.reading import read
from fieldmark.errors import MissingExtra, UnknownName, UsageError
from fieldmark.inference import variants
from fieldmark.inference.canaries import check
from fieldmark.inference.classifier import load

PARTS = {"train": 40, "validation": 30, "test": 40}
HERE = ", ".join(instruction_sets().values())
every_form = pytest.mark.parametrize("name", list(FORMS))
tasks = pytest.mark.parametrize("task", ["single", "multi"])


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fieldmark.conversion.measuring.SECONDS", 0.01)
    monkeypatch.setattr("fieldmark.conversion.measuring.FOLDER_IMAGES", 2)


def made(tmp_path: Path, task: str = "single") -> tuple[Path, Path]:
    """A bundle that is hardly ever unsure, and labelled images."""
    members = combining.pair(tmp_path, task=task)
    bundle = make.write_bundle_with_canaries(tmp_path / "tiny.fieldmark", task=task)
    return bundle, combining.labelled(tmp_path / "data", members, PARTS)


def one(tmp_path: Path, name: str, task: str = "single") -> Exported:
    bundle, data = made(tmp_path, task)
    (done,) = export(bundle, data, to=[name], out=tmp_path, unproven=True)
    return done


@tasks
@every_form
def test_it_answers_as_the_graph_that_it_was_made_from(
    name: str, task: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    if absent := missing(FORMS[name]):
        pytest.skip(f"{', '.join(absent)} not installed")
    if FORMS[name].runner and not FORMS[name].provable:
        pytest.skip(f"this processor has no {FORMS[name].asked_of_processor}")
    done = one(tmp_path, name, task)
    assert not capfd.readouterr().out  # where the answer goes, which may be JSON
    if FORMS[name].precision == "int8" and done.bundle is None:
        # Six channels of random weights may not bear rounding; then it must say so.
        assert done.proof is not None and "must be" in done.why and not (tmp_path / f"tiny-{name}.fieldmark").exists()
        return
    assert done.bundle == str(tmp_path / f"tiny-{name}.fieldmark") and not done.why
    exported = open_bundle(done.bundle)
    variant = exported.manifest.variant
    assert variant is not None and variant.format == name
    assert all((exported.path / file).is_file() for file in variant.files)
    if not FORMS[name].provable:
        assert variant.proof is None
        return
    assert done.proof is not None and done.proof.n == PARTS["test"] and done.proof.images == "the test images"
    assert done.cost is not None and done.cost.size_bytes > 0
    answering = load(done.bundle)
    assert (answering.bundle.graph.name == Path(variant.files[0]).name) == bool(FORMS[name].runner)
    assert check(answering).ok
    test = read(tmp_path / "data" / "list.csv").part("test")
    files = [test.path(row) for row in range(len(test))]
    float32, other = (load(path).predict_many(files) for path in (tmp_path / "tiny.fieldmark", done.bundle))
    gaps = [np.abs(a.probabilities - b.probabilities).max() for a, b in zip(float32, other)]
    assert max(gaps) < {"float32": 1e-4, "float16": 0.05, "bfloat16": 0.05, "int8": 0.5}[FORMS[name].precision]


def test_a_form_that_answers_otherwise_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def another(_source: object, folder: Path) -> Written:
        (folder / "wrong.onnx").write_bytes(make.graph(seed=7))
        return Written(files=("wrong.onnx",))

    monkeypatch.setattr(onnx_form, "ROW", replace(onnx_form.ROW, write=another))
    done = one(tmp_path, "onnx")
    assert done.bundle is None and done.proof is not None and done.proof.agreement < 1
    assert "answers are the same, and 100.0% must be" in done.why
    assert not [path.name for path in tmp_path.iterdir() if "onnx" in path.name]


def test_a_form_that_its_runtime_refuses_is_a_row_and_the_next_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OpenVINO refused a ResNet-50 in int8 and bf16, and the forms that were still to come were never written."""

    def junk(_source: object, folder: Path) -> Written:
        (folder / "junk.onnx").write_bytes(b"junk")
        return Written(files=("junk.onnx",))

    monkeypatch.setattr(onnx_form, "ROW", replace(onnx_form.ROW, write=junk))
    bundle, data = made(tmp_path)
    refused, written = export(bundle, data, to=["onnx", "openvino"], out=tmp_path)
    assert refused.bundle is None and refused.why.startswith(
        "it does not run here: the bundle's graph cannot be used"
    )
    assert "\n" not in refused.why and written.bundle is not None


@pytest.mark.parametrize(
    ("raised", "told"),
    [
        (NotImplementedError("no counterpart of Loop"), "NotImplementedError: no counterpart of Loop"),
        (
            ValidationError("data should be stored\nin foo.bin"),
            "onnx.onnx_cpp2py_export.checker.ValidationError: data should be stored",
        ),
        (TypeError(), "TypeError"),
    ],
)
def test_a_converter_that_gives_up_is_told_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, raised: Exception, told: str
) -> None:
    """Int8 of EfficientNet-Lite0 once ended the whole command, by what onnx's own checker raises."""

    def gives_up(_source: object, _folder: Path) -> Written:
        raise raised

    monkeypatch.setattr(onnx_form, "ROW", replace(onnx_form.ROW, write=gives_up))
    done = one(tmp_path, "onnx")
    assert done.bundle is None and done.why == f"it cannot be converted: {told}"
    assert not [path.name for path in tmp_path.iterdir() if "onnx" in path.name]


def test_who_is_cut_off_keeps_the_table_of_what_was_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All forms of a large network take an hour, and the table came after the last."""

    def cut_off(_source: object, _folder: Path) -> Written:
        raise KeyboardInterrupt

    monkeypatch.setattr(openvino_form, "ROW", replace(openvino_form.ROW, write=cut_off))
    monkeypatch.setattr("fieldmark.cli.export.FORMS", {name: FORMS[name] for name in ("onnx", "openvino")})
    bundle, data = made(tmp_path)
    ended = CliRunner().invoke(command, [str(bundle), str(data), "--all", "--out", str(tmp_path)])
    assert ended.exit_code != 0 and not (tmp_path / "tiny-openvino.fieldmark").exists()
    assert "| onnx | 100.00%" in (tmp_path / "tiny-exports.md").read_text()
    assert "onnx" in (tmp_path / "tiny-exports.html").read_text()


@pytest.mark.parametrize(
    ("precision", "agreement", "drop", "broken"),
    [
        ("float32", 1.0, 0.0, ""),
        ("float32", 0.999, 0.0, "answers are the same"),
        ("int8", 0.985, 0.005, ""),
        ("int8", 0.984, 0.0, "answers are the same"),
        ("float16", 0.99, 0.006, "accuracy falls by 0.60 (0.10 to 1.10) points"),
    ],
)
def test_the_bounds_are_those_that_are_told(precision: str, agreement: float, drop: float, broken: str) -> None:
    proof = Proof(
        images="the test images",
        n=1000,
        agreement=agreement,
        ties=0,
        largest_gap=0.1,
        measure="accuracy",
        drop=drop,
        drop_low=drop - 0.005,
        drop_high=drop + 0.005,
    )
    said = why_not(proof, precision)
    assert bool(said) == bool(broken) and broken in said


def with_variant(folder: Path, **changes: object) -> Path:
    """A bundle whose other graph is of another network, so that it shows which one answers."""
    plain = make.manifest()
    variant = Variant(
        format="planted",
        files=("other.onnx",),
        runner="onnxruntime",
        instructions="",
        decision=Decision(temperature=3.0),
        canaries=(),
        proof=None,
        notes=(),
    )
    with staged(folder) as place:
        (place / GRAPH).write_bytes(make.graph())
        (place / "other.onnx").write_bytes(make.graph(seed=7))
        seal(place, msgspec.structs.replace(plain, variant=msgspec.structs.replace(variant, **changes)))
    return folder


def test_a_variant_answers_with_its_own_graph_and_decision(tmp_path: Path) -> None:
    opened = load(with_variant(tmp_path / "v.fieldmark")).bundle
    assert opened.graph.name == "other.onnx" and opened.manifest.decision.temperature == 3.0 and not opened.notes


@pytest.mark.parametrize(
    ("changes", "runner", "said"),
    [
        ({"runner": ""}, None, "it is for other programs"),
        ({"runner": "unheard-of"}, None, "unheard-of is not installed here"),
        ({"instructions": "PDP-11"}, None, f"it was proven on PDP-11, and this is {HERE}"),
        ({}, "openvino", "openvino was asked for, and it was proven with onnxruntime"),
    ],
)
def test_where_it_cannot_be_trusted_the_float32_graph_answers_and_it_is_said(
    changes: dict[str, str], runner: str | None, said: str, tmp_path: Path
) -> None:
    bundle = open_bundle(with_variant(tmp_path / "v.fieldmark", **changes))
    here = variants.on_this_machine(bundle, runner=runner)
    assert here.graph.name == GRAPH and here.manifest.decision == bundle.manifest.decision
    (note,) = here.notes
    assert note.startswith(f"the float32 graph answers, not its planted form: {said}")


def test_an_unproven_form_has_to_be_asked_for(tmp_path: Path) -> None:
    bundle, data = made(tmp_path)
    name = next(each for each in FORMS if not FORMS[each].provable)
    if missing(FORMS[name]):
        with pytest.raises(MissingExtra, match="not installed here"):
            export(bundle, data, to=[name])
    else:
        with pytest.raises(UsageError, match="cannot be proven here"):
            export(bundle, data, to=[name])


def test_bf16_is_not_proven_where_the_processor_has_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if missing(FORMS["openvino-bfloat16"]):
        pytest.skip("openvino not installed")
    bundle, data = made(tmp_path)
    monkeypatch.setattr("fieldmark.conversion.row.instruction_sets", lambda: {"int8": "x86-64 with VNNI"})
    with pytest.raises(UsageError, match="this processor has no bfloat16"):
        export(bundle, data, to=["openvino-bfloat16"], unproven=True)


def test_an_unknown_form_and_an_export_of_an_export_are_refused(tmp_path: Path) -> None:
    bundle, data = made(tmp_path)
    with pytest.raises(UnknownName, match="unknown form 'onxx'"):
        export(bundle, data, to=["onxx"])
    with pytest.raises(UsageError, match="is an export itself"):
        export(with_variant(tmp_path / "v.fieldmark"), data, to=["onnx"])
    with pytest.raises(UsageError, match="is an export"):
        combine([bundle, tmp_path / "v.fieldmark"], data, kind="ensemble", out=tmp_path / "both")


def test_a_missing_package_is_named_with_what_brings_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle, data = made(tmp_path)
    monkeypatch.setattr(onnx_form, "ROW", replace(onnx_form.ROW, packages=("no_such_package",), install="pip x"))
    with pytest.raises(MissingExtra, match="no_such_package, not installed here") as raised:
        export(bundle, data, to=["onnx"])
    assert raised.value.do == "pip x"


def test_data_of_other_images_is_said_to_be_that(tmp_path: Path) -> None:
    done = one(tmp_path, "onnx")
    assert any("was not made of this data" in note for note in done.notes)


def test_the_page_tells_of_every_form_and_escapes_what_it_says(tmp_path: Path) -> None:
    done = one(tmp_path, "onnx")
    refused = Exported(form="planted", bundle=None, why="<script>", proof=None, cost=None, notes=("a & b",))
    told = page((done, refused), "<b>")
    assert all(each in told for each in ("onnx", "planted", "&lt;script&gt;", "a &amp; b", "&lt;b&gt;", "100.00 %"))
    assert "<script" not in told and "1 of 2 forms answer" in told
    assert "0 of 1 forms answer" in page((refused,), "tiny")


def test_what_normalises_and_what_answers_stay_in_float() -> None:
    import onnx

    parts = parts_of(onnx.load_from_string(make.graph()).graph)
    types = {node.name: node.op_type for node in onnx.load_from_string(make.graph()).graph.node}
    assert [types[name] for name in parts.weighted] == ["Conv"] and not parts.transformer
    around = [types[name] for name in parts.around]
    assert "Gemm" in around and "Sub" in around and "Conv" not in around


def test_the_table_has_a_line_for_each_form_and_the_reasons(tmp_path: Path) -> None:
    done = [
        one(tmp_path, "onnx"),
        Exported(form="lost", bundle=None, why="it broke", proof=None, cost=None, notes=()),
    ]
    lines = list(rows(done))
    assert len(lines) == 3 and lines[1].startswith("onnx") and "100.00%" in lines[1]
    told = table(done)
    assert told.count("\n| ") == 4 and all(head in told for head in HEAD)
    assert "- lost was not written: it broke" in told and "the test images" in told
