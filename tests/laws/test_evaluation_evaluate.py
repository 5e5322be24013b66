"""A real bundle on real files: classes by name, parts, and files that cannot be read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import fieldmark
import makers_bundle
from fieldmark.bundle.schema import Decision
from fieldmark.errors import DataError, FieldmarkError
from fieldmark.evaluation.evaluate import evaluate
from fieldmark.inference.classifier import load


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    return load(makers_bundle.write_bundle(tmp_path_factory.mktemp("bundle") / "tiny.fieldmark"))


@pytest.fixture(scope="module")
def multi(tmp_path_factory):
    decision = Decision(thresholds=(0.2, 0.5, 0.8))
    out = tmp_path_factory.mktemp("bundle") / "tiny.fieldmark"
    return load(makers_bundle.write_bundle(out, task="multi", decision=decision))


def _folder(root: Path, classes: tuple[str, ...], each: int = 4) -> Path:
    for at, name in enumerate(classes):
        (root / name).mkdir(parents=True)
        for number, pixels in enumerate(makers_bundle.pictures(each, seed=at)):
            Image.fromarray(pixels).save(root / name / f"{number}.png")
    return root


def _manifest(tmp_path: Path, header: str, rows: list[str]) -> Path:
    for number, pixels in enumerate(makers_bundle.pictures(len(rows))):
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    path = tmp_path / "images.csv"
    path.write_text("\n".join([header, *(f"{number}.png,{row}" for number, row in enumerate(rows))]) + "\n")
    return path


def test_figures_are_those_of_predict(classifier, tmp_path):
    data = _folder(tmp_path / "photos", makers_bundle.CLASSES)
    made = fieldmark.evaluate(classifier.bundle.path, data)
    files = sorted(data.rglob("*.png"))
    right = [classifier.predict(file).labels == (file.parent.name,) for file in files]
    assert (made.n, made.part, made.classes, made.absent) == (len(files), "test", makers_bundle.CLASSES, ())
    assert made.figures["accuracy"].value == np.mean(right)
    assert 0 < sum(right) < len(right)  # an order of classes that is wrong would show
    for case in (*made.mistakes, *made.hits):
        answer = classifier.predict(data / case.file)
        assert (answer.labels, answer.ranked(1)[0][1]) == (case.answer, pytest.approx(case.probability))
        assert case.truth == (Path(case.file).parent.name,)
    assert any("every image was measured" in note for note in made.notes)


def test_a_class_that_the_data_lacks_is_absent_and_the_others_keep_their_names(classifier, tmp_path):
    # Alone, dog and wolf are classes 0 and 1 of the data, and 1 and 2 of the bundle.
    made = evaluate(classifier, _folder(tmp_path / "photos", ("dog", "wolf")))
    assert made.absent == ("cat",)
    assert [(each.name, each.n) for each in made.per_class] == [("cat", 0), ("dog", 4), ("wolf", 4)]


def test_a_class_that_the_bundle_does_not_know_is_an_error_that_names_it(classifier, tmp_path):
    with pytest.raises(DataError, match="does not know these classes: lynx"):
        evaluate(classifier, _folder(tmp_path / "photos", ("cat", "lynx")))


def test_a_file_that_cannot_be_read_is_skipped_and_named(classifier, tmp_path):
    root = _folder(tmp_path / "photos", makers_bundle.CLASSES)
    data = fieldmark.read(root)
    (root / "dog" / "1.png").write_bytes((root / "dog" / "1.png").read_bytes()[:200])
    (root / "wolf" / "2.png").unlink()
    made = evaluate(classifier, data)
    assert made.n == len(data) - 2
    assert [file for file, _ in made.skipped] == ["dog/1.png", "wolf/2.png"]
    assert all(reason for _, reason in made.skipped)
    others = {case.file for case in (*made.mistakes, *made.hits)}
    assert others == set(data.files) - {"dog/1.png", "wolf/2.png"}
    for case in (*made.mistakes, *made.hits):  # rows after a skipped one keep their own answers
        assert classifier.predict(root / case.file).ranked(1)[0][1] == pytest.approx(case.probability)


def test_nothing_readable_is_an_error(classifier, tmp_path):
    data = fieldmark.read(_folder(tmp_path / "photos", ("cat", "dog"), each=1))
    for file in data.files:
        (data.root / file).unlink()
    with pytest.raises(FieldmarkError, match="no images to measure"):
        evaluate(classifier, data)


def test_the_test_part_is_measured_unless_another_is_named(classifier, tmp_path):
    rows = ["cat,train", "dog,train", "wolf,train", "cat,validation", "dog,test", "wolf,test"]
    data = fieldmark.read(_manifest(tmp_path, "file,label,split", rows))
    assert (evaluate(classifier, data).part, evaluate(classifier, data).n) == ("test", 2)
    assert evaluate(classifier, data, part="validation").n == 1
    learned = evaluate(classifier, data, part="train")
    assert (learned.part, learned.n) == ("train", 3)
    assert any("learned from" in note for note in learned.notes)
    only_train = data.rows(data.split == "train")
    assert any("train part too" in note for note in evaluate(classifier, only_train).notes)
    with pytest.raises(DataError, match="no images in its test part") as refused:
        evaluate(classifier, only_train, part="test")
    assert "train" in refused.value.do


def test_a_stranger_in_a_part_that_is_not_measured_does_no_harm(classifier, tmp_path):
    rows = ["cat,train", "lynx,train", "dog,train", "cat,test", "dog,test"]
    assert evaluate(classifier, _manifest(tmp_path, "file,label,split", rows)).n == 2


def test_several_labels_an_image_by_name_and_by_threshold(multi, tmp_path):
    path = _manifest(tmp_path, "file,labels", ["wolf|dog", "dog", "dog", "wolf", "wolf|dog", "dog"])
    made = evaluate(multi, path)
    assert [(each.name, each.n) for each in made.per_class] == [("cat", 0), ("dog", 5), ("wolf", 3)]
    said = [multi.predict(tmp_path / f"{number}.png").labels for number in range(6)]
    assert [each.predicted for each in made.per_class] == [
        sum(name in labels for labels in said) for name in ("cat", "dog", "wolf")
    ]


def test_one_label_and_several_are_not_mixed(classifier, multi, tmp_path):
    path = _manifest(tmp_path, "file,labels", ["wolf|dog", "dog"])
    with pytest.raises(DataError, match="several labels an image"):
        evaluate(classifier, path)
    with pytest.raises(DataError, match="one label an image"):
        evaluate(multi, _folder(tmp_path / "photos", ("cat", "dog")))


def test_it_tells_how_far_it_is(classifier, tmp_path):
    told = []
    data = fieldmark.read(_folder(tmp_path / "photos", ("cat", "dog")))
    evaluate(classifier, data, progress=lambda *words: told.append(words))
    assert told[-1] == ("evaluating", 8, 8)
