"""A loaded bundle answers, one picture or many, or says why not."""

from __future__ import annotations

import itertools
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper
from PIL import Image

from fieldmark.bundle.schema import Decision
from fieldmark.cores import available_cores
from fieldmark.data.geometry import Geometry
from fieldmark.errors import BundleError, DataError, UsageError
from fieldmark.inference.classifier import Classifier, load
from fieldmark.inference.prediction import Failure, Prediction
from fieldmark.inference.runner import open_graph
from fieldmark.inference.timing import latency_ms
from makers_bundle import CLASSES, SIZE_PX, graph, pictures, write_bundle


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Classifier:
    return load(write_bundle(tmp_path_factory.mktemp("bundles") / "tiny.fieldmark"))


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("photos")
    for number, pixels in enumerate(pictures(70, 40)):
        Image.fromarray(pixels).save(folder / f"{number:03}.png")
    return sorted(folder.iterdir())


def test_path_and_bytes_get_one_answer(classifier: Classifier, photos: list[Path]) -> None:
    answers = [classifier.predict(source) for source in (photos[0], str(photos[0]), photos[0].read_bytes())]
    assert len({answer.probabilities.tobytes() for answer in answers}) == 1
    assert answers[0].labels == (CLASSES[int(answers[0].probabilities.argmax())],)
    assert answers[0].embedding is None and answers[0].source == str(photos[0])


def test_embedding_on_request(classifier: Classifier, photos: list[Path]) -> None:
    answer = classifier.predict(photos[0], embedding=True)
    assert answer.embedding is not None and answer.embedding.shape == (6,)
    (many,) = classifier.predict_many(photos[:1], embedding=True)
    assert isinstance(many, Prediction) and np.array_equal(many.embedding, answer.embedding)


def test_photos_get_unlike_answers(classifier: Classifier, photos: list[Path]) -> None:
    """Otherwise the tests of order and of parity could not fail."""
    answers = [classifier.predict(photo) for photo in photos]
    assert len({answer.labels for answer in answers}) == len(CLASSES)
    assert np.ptp([answer.probabilities for answer in answers], axis=0).max() > 0.5


@pytest.mark.parametrize("spoilt", [(), (0,), (0, 1, 2), (31, 32, 33, 69), tuple(range(70))])
def test_many_are_the_single_answers_in_order(
    classifier: Classifier, photos: list[Path], tmp_path: Path, spoilt: tuple[int, ...]
) -> None:
    """More than a batch of them, with unreadable ones anywhere."""
    sources = [tmp_path / f"missing-{n}.jpg" if n in spoilt else path for n, path in enumerate(photos)]
    answers = list(classifier.predict_many(sources))
    assert [answer.source for answer in answers] == [str(source) for source in sources]
    for number, (answer, photo) in enumerate(zip(answers, photos, strict=True)):
        if number in spoilt:
            assert isinstance(answer, Failure) and answer.unreadable.detail
        else:
            assert isinstance(answer, Prediction)
            assert np.allclose(answer.probabilities, classifier.predict(photo).probabilities, atol=1e-6)


def test_no_sources_no_answers(classifier: Classifier) -> None:
    assert list(classifier.predict_many([])) == []


def test_an_endless_folder_is_streamed(classifier: Classifier, photos: list[Path]) -> None:
    taken = 0

    def endless() -> Iterator[Path]:
        nonlocal taken
        for photo in itertools.cycle(photos):
            taken += 1
            yield photo

    tracemalloc.start()
    try:
        answers = classifier.predict_many(endless())
        for _ in itertools.islice(answers, 300):
            pass
        settled, _ = tracemalloc.get_traced_memory()
        for _ in itertools.islice(answers, 1500):
            pass
        later, _ = tracemalloc.get_traced_memory()
        answers.close()  # type: ignore[attr-defined]
    finally:
        tracemalloc.stop()
    assert taken < 1800 + 2000
    assert later - settled < 2**20


def test_what_sources_raise_comes_through(classifier: Classifier, photos: list[Path]) -> None:
    def broken() -> Iterator[Path]:
        yield photos[0]
        raise LookupError("the list ends here")

    with pytest.raises(LookupError):
        list(classifier.predict_many(broken()))


@pytest.mark.parametrize("one", ["folder", Path("folder"), b"bytes"])
def test_one_path_is_not_many(classifier: Classifier, one: str) -> None:
    with pytest.raises(UsageError):
        classifier.predict_many(one)


def test_an_unreadable_picture_is_an_error(classifier: Classifier, tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("no picture at all")
    for source in (tmp_path / "text.jpg", tmp_path / "missing.jpg", b"", b"junk"):
        with pytest.raises(DataError) as caught:
            classifier.predict(source)
        assert caught.value.where == (f"({len(source)} bytes)" if isinstance(source, bytes) else str(source))


def test_multi_label_bundles_use_their_thresholds(tmp_path: Path, photos: list[Path]) -> None:
    decision = Decision(temperature=2.0, thresholds=(0.0, 1.0, 0.5))
    classifier = load(write_bundle(tmp_path / "b", task="multi", decision=decision))
    for answer in classifier.predict_many(photos):
        assert isinstance(answer, Prediction)
        assert "cat" in answer.labels and ("wolf" in answer.labels) == (answer.probabilities[2] >= 0.5)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"classes": ("a", "b")}, "classes is 2 there, and 3"),
        ({"geometry": Geometry(size_px=32)}, "size_px is 32 there, and 16"),
        ({"embedding_size": 7}, "embedding_size is 7 there, and 6"),
    ],
)
def test_refuses_a_manifest_of_another_graph(tmp_path: Path, changes: dict[str, object], word: str) -> None:
    with pytest.raises(BundleError, match=word):
        load(write_bundle(tmp_path / "b", **changes))


def rewired(change: object) -> bytes:
    model = onnx.load_model_from_string(graph())
    change(model)  # type: ignore[operator]
    encoded: bytes = model.SerializeToString()
    return encoded


def rename_output(model: onnx.ModelProto) -> None:
    model.graph.node.append(helper.make_node("Identity", ["logits"], ["scores"]))
    model.graph.output[1].name = "scores"


def float_pixels(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT


def keep_a_weight_elsewhere(model: onnx.ModelProto) -> None:
    weight = model.graph.initializer[0]
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    weight.external_data.add(key="location", value="fieldmark.json")


@pytest.mark.parametrize("change", [rename_output, float_pixels, keep_a_weight_elsewhere])
def test_refuses_a_graph_that_is_not_as_agreed(tmp_path: Path, change: object) -> None:
    with pytest.raises(BundleError, match="graph cannot be used"):
        load(write_bundle(tmp_path / "b", encoded_graph=rewired(change)))


@pytest.mark.parametrize("encoded", [b"", b"junk", graph()[: len(graph()) // 2]], ids=["empty", "junk", "half"])
def test_refuses_what_is_no_graph(tmp_path: Path, encoded: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(BundleError, match="graph cannot be used"):
        load(write_bundle(tmp_path / "b", encoded_graph=encoded))
    assert capfd.readouterr().err == ""


def test_an_answer_that_is_no_number_is_an_error(tmp_path: Path, photos: list[Path]) -> None:
    def poison(model: onnx.ModelProto) -> None:
        for weight in model.graph.initializer:
            if weight.name == "head.bias":
                weight.CopyFrom(onnx.numpy_helper.from_array(np.full(3, np.nan, np.float32), weight.name))

    classifier = load(write_bundle(tmp_path / "b", encoded_graph=rewired(poison)))
    with pytest.raises(BundleError, match="not a number"):
        classifier.predict(photos[0])


def test_run_wants_the_pixels_of_its_geometry(classifier: Classifier) -> None:
    embedding, logits = classifier.run(np.empty((0, SIZE_PX, SIZE_PX, 3), np.uint8))
    assert embedding.shape == (0, 6) and logits.shape == (0, 3)
    for wrong in (np.zeros((1, 8, 8, 3), np.uint8), np.zeros((1, SIZE_PX, SIZE_PX, 3), np.float32)):
        with pytest.raises(ValueError, match="uint8"):
            classifier.run(wrong)  # type: ignore[arg-type]


@given(st.integers(1, 40), st.integers(1, 40))
def test_an_answer_does_not_depend_on_its_neighbours(classifier: Classifier, n: int, seed: int) -> None:
    pixels = pictures(n, seed=seed)
    _, together = classifier.run(pixels)
    _, alone = classifier.run(pixels[-1:])
    assert np.allclose(together[-1], alone[0], atol=1e-4, rtol=1e-5)


def test_threads_do_not_change_the_answer(tmp_path: Path) -> None:
    (tmp_path / "g.onnx").write_bytes(graph())
    one, two = (open_graph(tmp_path / "g.onnx", threads=n).run(pictures(9))[1] for n in (1, 2))
    assert np.allclose(one, two, atol=1e-5)


def test_latency_has_a_median_and_a_tail(classifier: Classifier, photos: list[Path]) -> None:
    median, slow = latency_ms(classifier, [photos[0], photos[1].read_bytes()], repeats=20)
    assert 0 < median <= slow


def quota(folder: Path, group: str, files: dict[str, str], line: str) -> int:
    (folder / "proc").write_text(line)
    (folder / "mount" / group).mkdir(parents=True)
    for name, text in files.items():
        (folder / "mount" / group / name).write_text(text)
    return available_cores(proc=folder / "proc", mount=folder / "mount")


@pytest.mark.parametrize(
    ("group", "files", "line", "limited"),
    [
        ("", {"cpu.max": "50000 100000\n"}, "0::/\n", True),
        ("a/b", {"cpu.max": "100000 100000\n"}, "0::/a/b\n", True),
        ("a", {"cpu.max": "100000 100000\n"}, "0::/a/b\n", True),
        ("", {"cpu.max": "max 100000\n"}, "0::/\n", False),
        ("cpu,cpuacct", {"cpu.cfs_quota_us": "10000", "cpu.cfs_period_us": "100000"}, "3:cpu,cpuacct:/\n", True),
        ("cpu", {"cpu.cfs_quota_us": "-1", "cpu.cfs_period_us": "100000"}, "3:cpu:/\n", False),
        ("cpuset", {"cpu.max": "100000 100000"}, "3:cpuset:/\n", False),
        ("", {"cpu.max": "junk"}, "0::/\n", False),
        ("", {}, "", False),
    ],
)
def test_cores_follow_the_containers_quota(
    tmp_path: Path, group: str, files: dict[str, str], line: str, limited: bool
) -> None:
    free = available_cores(proc=tmp_path / "none", mount=tmp_path / "none")
    assert quota(tmp_path, group, files, line) == (1 if limited else free)
