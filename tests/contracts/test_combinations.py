"""Every way of putting bundles together: one graph that answers as its members do apart, whatever batch it sees."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper

import makers_bundle as make
import makers_combining as combining
from fieldmark.bundle.parents import descent
from fieldmark.bundle.reading import open_bundle
from fieldmark.bundle.schema import Decision, Weights
from fieldmark.combining import run
from fieldmark.combining.assembling import assemble
from fieldmark.combining.fragment import resized
from fieldmark.combining.row import COMBINATIONS
from fieldmark.combining.run import combine
from fieldmark.data.fingerprint import fingerprint
from fieldmark.data.geometry import Geometry, apply, resampling
from fieldmark.data.loading import load_file
from fieldmark.data.reading import read
from fieldmark.errors import BundleError, DataError, ParityError, UnknownName, UsageError
from fieldmark.evaluation.evaluate import evaluate
from fieldmark.inference.canaries import check
from fieldmark.inference.classifier import load
from fieldmark.inference.deciding import probabilities
from fieldmark.report.document import parse

kinds = pytest.mark.parametrize("kind", list(COMBINATIONS))
# What the second member has that the first has not.
UNLIKE = {
    "like the other": {},
    "classes in another order": {"classes": combining.TURNED},
    "smaller": {"size_px": 11},
    "all of it": {
        "size_px": 22,
        "geometry": Geometry(size_px=22, crop_fraction=0.7, filter="bilinear"),
        "classes": combining.TURNED,
    },
}


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fieldmark.combining.comparing.TIMED_IMAGES", 4)


def put_together(tmp_path: Path, kind: str, **changes: object) -> run.Combined:
    members = combining.pair(tmp_path, **changes)
    return combine(members, combining.labelled(tmp_path / "data", members), kind=kind, out=tmp_path / "whole")


def shown(folder: Path, geometry: Geometry) -> np.ndarray:
    """Forty of the test images, as the whole sees them."""
    return np.stack([load_file(folder / "data" / "images" / f"{number}.png", geometry) for number in range(110, 150)])


def said_apart(folder: Path, name: str, images: np.ndarray, whole: Geometry, classes: tuple[str, ...]) -> np.ndarray:
    """The member's calibrated probabilities of pixels of the whole, in the order of `classes`."""
    member = load(folder / f"{name}.fieldmark")
    manifest = member.bundle.manifest
    inner = Geometry(
        size_px=manifest.geometry.size_px,
        filter=manifest.geometry.filter,
        crop_fraction=manifest.geometry.crop_fraction / whole.crop_fraction,
    )
    own = np.stack([apply(image, inner) for image in images])
    said = probabilities(member.run(own)[1], manifest.decision, manifest.task)
    return said[:, [manifest.classes.index(each) for each in classes]]


@kinds
@pytest.mark.parametrize("unlike", UNLIKE.values(), ids=UNLIKE)
def test_the_whole_is_a_bundle_that_answers_as_its_members(tmp_path, quick, kind, unlike):
    combined = put_together(tmp_path, kind, **unlike)
    whole = load(tmp_path / "whole")
    manifest = whole.bundle.manifest
    assert check(whole).ok
    assert manifest.classes == make.CLASSES and manifest.method == kind
    assert manifest.parity.n > 40 and manifest.parity.largest_gap < 1e-3
    assert [each.name for each in manifest.parents] == ["small", "large"]

    pixels = shown(tmp_path, manifest.geometry)
    both = np.stack(
        [said_apart(tmp_path, name, pixels, manifest.geometry, manifest.classes) for name in ("small", "large")]
    )
    embedding, logits = whole.run(pixels)
    told = probabilities(logits, Decision(), "single")
    if kind == "ensemble":
        expected = np.tensordot(manifest.recipe["weights"], both, axes=1)
        assert embedding.shape == (40, 12)
    else:
        unsure = both[0].max(axis=1) < manifest.recipe["threshold"]
        assert 0 < unsure.sum() < 40
        expected = np.where(unsure[:, None], both[1], both[0])
        assert embedding.shape == (40, 6)
    # A resized pixel may be rounded the other way, which moves a probability of these rough networks a little.
    assert np.abs(told - expected).max() < (1e-5 if "size_px" not in unlike else 1e-3)

    measured = evaluate(whole, tmp_path / "data" / "list.csv")
    assert measured.figures == combined.report.test.figures
    assert parse((tmp_path / "whole" / "report" / "report.json").read_bytes(), where="") == combined.report


@kinds
def test_an_answer_does_not_depend_on_its_batch(tmp_path, quick, kind):
    put_together(tmp_path, kind, size_px=24)
    whole = load(tmp_path / "whole")
    pixels = shown(tmp_path, whole.bundle.manifest.geometry)[:30]
    embedding, logits = whole.run(pixels)
    for single, (one_embedding, one) in enumerate(whole.run(pixels[at : at + 1]) for at in range(30)):
        np.testing.assert_allclose(one[0], logits[single], atol=1e-4)
        np.testing.assert_allclose(one_embedding[0], embedding[single], atol=1e-5)
    np.testing.assert_allclose(whole.run(pixels[::-1])[1][::-1], logits, atol=1e-4)


@kinds
def test_it_stands_beside_its_members_in_the_report(tmp_path, quick, kind):
    report = put_together(tmp_path, kind).report
    whole, small, large = report.comparison.rows
    assert report.comparison.measure == "accuracy"
    assert whole.difference is None and whole.figure == report.test.figures["accuracy"]
    for row in (small, large):
        assert row.difference.value == pytest.approx(whole.figure.value - row.figure.value)
        assert row.difference.low <= row.difference.value <= row.difference.high
        assert 0 < row.latency_ms[0] <= row.latency_ms[1]
    assert small.needed.value == 1.0
    assert large.needed.value == 1.0 if kind == "ensemble" else 0 < large.needed.value < 1
    assert large.figure.value > small.figure.value
    page = (tmp_path / "whole" / "report" / "index.html").read_text()
    assert "putting them together" in page and "fieldmark combine small.fieldmark large.fieldmark" in page


@kinds
def test_the_same_members_give_the_same_bytes(tmp_path, quick, kind):
    put_together(tmp_path, kind, size_px=20)
    again = combine(
        [tmp_path / "small.fieldmark", tmp_path / "large.fieldmark"],
        tmp_path / "data" / "list.csv",
        kind=kind,
        out=tmp_path / "again",
    )
    assert (again.bundle / "model.onnx").read_bytes() == (tmp_path / "whole" / "model.onnx").read_bytes()


@kinds
def test_what_was_put_together_can_be_put_together(tmp_path, quick, kind):
    put_together(tmp_path, kind, size_px=20)
    third = combining.member(tmp_path, "third", seed=5, weights=Weights(source="hub", licence="mit"))
    outer = combine([tmp_path / "whole", third], tmp_path / "data" / "list.csv", kind="ensemble", out=tmp_path / "x")
    assert [each.name for each in descent(open_bundle(outer.bundle).manifest)] == ["whole", "small", "large", "third"]
    assert outer.report.manifest.weights.licence == "mit"
    assert "mit" in (outer.bundle / "README.md").read_text()
    assert check(load(outer.bundle)).ok


@pytest.mark.parametrize("kind", [name for name in COMBINATIONS if "multi" in COMBINATIONS[name].tasks])
def test_several_labels_an_image(tmp_path, quick, kind):
    report = put_together(tmp_path, kind, task="multi", classes=combining.TURNED, size_px=20).report
    assert report.comparison.measure == "map"
    assert len(report.manifest.decision.thresholds) == 3
    assert report.manifest.parity.largest_gap < 1e-3
    assert check(load(tmp_path / "whole")).ok


@pytest.mark.parametrize("kind", [name for name in COMBINATIONS if "multi" not in COMBINATIONS[name].tasks])
def test_several_labels_where_there_must_be_one(tmp_path, kind):
    with pytest.raises(UsageError, match="several labels"):
        put_together(tmp_path, kind, task="multi")


def test_a_sure_answer_is_not_lost_to_rounding(tmp_path, quick):
    """Logits in the hundreds: a mean of probabilities in float32 would be nought, and its logarithm no number."""
    report = put_together(tmp_path, "ensemble", decision=Decision(temperature=0.01)).report
    logits = load(tmp_path / "whole").run(make.pictures(40))[1]
    assert np.isfinite(logits).all() and logits.min() < -5
    assert report.manifest.parity.agreement == 1.0


def test_the_large_one_is_a_branch_that_can_be_left_out(tmp_path, quick):
    put_together(tmp_path, "cascade")
    graph = onnx.load(tmp_path / "whole" / "model.onnx").graph
    (branch,) = (node for node in graph.node if node.op_type == "If")
    weights = {held.name for attribute in branch.attribute for held in attribute.g.initializer}
    assert any(name.startswith("large/") for name in weights)
    assert not any(held.name.startswith("large/") for held in graph.initializer)


@kinds
def test_a_graph_that_answers_otherwise_is_not_shipped(tmp_path, monkeypatch, kind):
    def wrong(members, rule, task, **sizes):
        return assemble([members[0], members[0]], rule, task, **sizes)

    monkeypatch.setattr(run, "assemble", wrong)
    with pytest.raises(ParityError, match="made from"):
        put_together(tmp_path, kind)
    assert not (tmp_path / "whole").exists()


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"classes": ("cat", "dog", "fox")}, "fox"),
        ({"task": "multi"}, "in different ways"),
        ({"geometry": Geometry(size_px=16, fit="squash")}, "different ways"),
        ({"recipe": {"prior": "even"}}, "different worlds"),
        ({"seed": 1}, "given twice"),
    ],
    ids=lambda part: part if isinstance(part, str) else "",
)
def test_members_that_do_not_fit(tmp_path, changes, word):
    first = combining.member(tmp_path, "small", seed=1)
    second = combining.member(tmp_path, "large", **{"seed": 2, **changes})
    data = combining.labelled(tmp_path / "data", [first, first])
    with pytest.raises(UsageError, match=word):
        combine([first, second], data, kind="ensemble", out=tmp_path / "whole")
    assert not (tmp_path / "whole").exists()


def test_words_that_do_not_fit(tmp_path, quick):
    small, large = combining.pair(tmp_path)
    third = combining.member(tmp_path, "third", seed=3)
    data = combining.labelled(tmp_path / "data", [small, small])
    out = tmp_path / "whole"
    with pytest.raises(UsageError, match="no effect"):
        combine([small, large], data, kind="ensemble", out=out, within=0.01)
    with pytest.raises(UsageError, match="got 3"):
        combine([small, large, third], data, kind="cascade", out=out)
    with pytest.raises(UsageError, match="got 1"):
        combine([small], data, kind="ensemble", out=out)
    with pytest.raises(UnknownName, match="unknown combination"):
        combine([small, large], data, kind="cascades", out=out)
    with pytest.raises(BundleError):
        combine([small, tmp_path / "nowhere"], data, kind="ensemble", out=out)
    # The data bears the small one's own labels: no need to ask another.
    with pytest.raises(UsageError, match="would never ask"):
        combine([small, large], data, kind="cascade", out=out)
    assert not out.exists()


def test_images_that_cannot_be_read_are_left_out_and_told(tmp_path, quick):
    members = combining.pair(tmp_path)
    data = combining.labelled(tmp_path / "data", members)
    for number in (20, 130):  # one to fit by, one to test with
        file = tmp_path / "data" / "images" / f"{number}.png"
        broken = bytearray(file.read_bytes())
        broken[len(broken) // 2] ^= 0xFF  # seen when it is decoded, and not before
        file.write_bytes(broken)
    report = combine(members, data, kind="ensemble", out=tmp_path / "whole").report
    assert report.validation.n == 79 and report.test.n == 59
    assert [file for file, _ in report.test.skipped] == ["images/130.png"]
    assert {row.figure.n for row in report.comparison.rows} == {59}


def test_graphs_of_different_opsets_are_refused(tmp_path):
    small, large = combining.pair(tmp_path)
    model = onnx.load(large / "model.onnx")
    for used in model.opset_import:
        used.version = 16
    older = make.write_bundle(tmp_path / "older", encoded_graph=model.SerializeToString(), name="older")
    data = combining.labelled(tmp_path / "data", [small, small])
    with pytest.raises(BundleError, match="different versions"):
        combine([small, older], data, kind="ensemble", out=tmp_path / "whole")


def test_nothing_left_to_judge_by(tmp_path):
    members = combining.pair(tmp_path)
    data = combining.labelled(tmp_path / "data", members, {"train": 40, "test": 20})
    taken = [
        make.write_bundle(
            tmp_path / f"{name}.taken",
            encoded_graph=make.graph(3, seed),
            name=name,
            recipe={"seed": 0, "split": "0.7,0.15,0.15", "folds": 5},
            data=msgspec.structs.replace(make.manifest().data, fingerprint=fingerprint(read(data))),
        )
        for name, seed in (("a", 1), ("b", 2))
    ]
    with pytest.raises(DataError, match="to fit them together by"):
        combine(taken, data, kind="ensemble", out=tmp_path / "whole")


def test_pictures_are_resized_as_pillow_does_it():
    """The resizing part of a graph, alone."""
    for geometry, side in (
        (Geometry(size_px=11, crop_fraction=0.8), 32),
        (Geometry(size_px=24, fit="squash", filter="lanczos"), 17),
        (Geometry(size_px=9, filter="box"), 40),
        (Geometry(size_px=16, filter="bilinear", crop_fraction=0.5), 32),
    ):
        nodes, constants = resized("x/", "pixels", resampling(geometry, side))
        graph = helper.make_graph(
            nodes,
            "resize",
            [helper.make_tensor_value_info("pixels", onnx.TensorProto.UINT8, ["N", side, side, 3])],
            [helper.make_tensor_value_info("x/pixels", onnx.TensorProto.UINT8, None)],
            initializer=constants,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        images = make.pictures(6, side, seed=3)
        session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        (ours,) = session.run(None, {"pixels": images})
        theirs = np.stack([apply(image, geometry) for image in images])
        difference = np.abs(ours.astype(int) - theirs.astype(int))
        assert difference.max() <= 1 and (difference > 0).mean() < 0.01
