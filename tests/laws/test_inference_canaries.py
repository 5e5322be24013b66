"""Canaries sing alike where nothing changed, and say what changed where something did."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
from PIL import Image

from fieldmark.bundle.layout import CANARIES, GRAPH
from fieldmark.bundle.schema import Canary, Decision
from fieldmark.data.decoding import decode
from fieldmark.data.geometry import Geometry, scale_to_px
from fieldmark.data.picture import Picture
from fieldmark.errors import DataError
from fieldmark.inference.canaries import CheckResult, check, draw, record
from fieldmark.inference.classifier import Classifier, load
from fieldmark.inference.runner import open_graph
from makers_bundle import graph, write_bundle, write_bundle_with_canaries


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bundle_with_canaries(tmp_path_factory.mktemp("bundles") / "tiny.fieldmark")


def but_for(classifier: Classifier, **changes: object) -> Classifier:
    """The same classifier whose manifest says something else."""
    manifest = msgspec.structs.replace(classifier.bundle.manifest, **changes)
    return Classifier(
        bundle=replace(classifier.bundle, manifest=manifest),
        runner=classifier.runner,
        execution=classifier.execution,
    )


def not_ok(result: CheckResult) -> set[str]:
    assert result.ok == all(canary.ok for canary in result.canaries)
    return {canary.file for canary in result.canaries if not canary.ok}


def test_all_sing_where_nothing_changed(bundle: Path) -> None:
    result = check(load(bundle))
    assert result.ok and len(result.canaries) >= 8 and len(result.words) == 1
    assert {canary.pixels for canary in result.canaries} == {"same"}
    assert not any(canary.words for canary in result.canaries)


def test_answers_differ_from_canary_to_canary(bundle: Path) -> None:
    """Otherwise a classifier that answers anything would pass."""
    recorded = np.array([canary.probabilities for canary in load(bundle).bundle.manifest.canaries])
    assert np.ptp(recorded, axis=0).max() > 0.1
    assert len({canary.pixels_sha256 for canary in load(bundle).bundle.manifest.canaries}) == len(recorded)


@pytest.mark.parametrize("size_px", [8, 28, 64, 224, 384])
def test_drawn_pictures_take_each_way_through_the_decoder(tmp_path: Path, size_px: int) -> None:
    geometry = Geometry(size_px=size_px, crop_fraction=0.875)
    files = draw(tmp_path, geometry)
    assert sum((tmp_path / file).stat().st_size for file in files) < 100_000
    decoded = [decode((tmp_path / file).read_bytes(), scale_to_px=scale_to_px(geometry)) for file in files]
    assert all(isinstance(picture, Picture) for picture in decoded)
    notes = " ".join(note for picture in decoded if isinstance(picture, Picture) for note in picture.notes)
    assert all(way in notes for way in ("decoded at", "turned by EXIF", "alpha over white"))
    assert {picture.format for picture in decoded if isinstance(picture, Picture)} == {"JPEG", "PNG", "WEBP"}
    modes = set()
    for file in files:
        with Image.open(tmp_path / file) as image:
            modes.add(image.mode)
    assert modes == {"RGB", "L", "RGBA", "P"}


def test_drawing_twice_gives_the_same_files(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        files = draw(tmp_path / name, Geometry(size_px=32))
    assert all((tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes() for file in files)


def test_another_graph_is_found(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / GRAPH).write_bytes(graph(seed=1))
    loaded = load(bundle)
    impostor = Classifier(bundle=loaded.bundle, runner=open_graph(tmp_path / GRAPH), execution=loaded.execution)
    result = check(impostor)
    assert not result.ok and any("probability differs" in word for c in result.canaries for word in c.words)


def test_another_decision_is_found(bundle: Path) -> None:
    result = check(but_for(load(bundle), decision=Decision(temperature=2.0)))
    assert not_ok(result) and all(canary.same_answer for canary in result.canaries)


def test_another_geometry_is_found(bundle: Path) -> None:
    result = check(but_for(load(bundle), geometry=Geometry(size_px=16, fit="squash")))
    assert not_ok(result) and {canary.pixels for canary in result.canaries} >= {"different"}


def recorded_off_by(canary: Canary, levels: float) -> Canary:
    tiles = (canary.tiles[0] + levels, *canary.tiles[1:])
    return msgspec.structs.replace(canary, pixels_sha256="0" * 64, tiles=tiles)


@pytest.mark.parametrize(("levels", "pixels"), [(0.4, "close"), (9.0, "different")])
def test_other_pixels_are_said_and_measured(bundle: Path, levels: float, pixels: str) -> None:
    """As another libjpeg gives them. As long as the answer holds, that alone fails nothing."""
    classifier = load(bundle)
    canaries = tuple(recorded_off_by(canary, levels) for canary in classifier.bundle.manifest.canaries)
    result = check(but_for(classifier, canaries=canaries))
    assert {canary.pixels for canary in result.canaries} == {pixels} and result.ok
    assert all(canary.pixel_difference == pytest.approx(levels) and canary.words for canary in result.canaries)


@pytest.mark.parametrize("harm", ["missing", "altered", "junk"])
def test_a_harmed_file_is_found(bundle: Path, tmp_path: Path, harm: str) -> None:
    """After loading, which would have refused it."""
    copy = shutil.copytree(bundle, tmp_path / "copy.fieldmark")
    classifier = load(copy)
    victim = copy / CANARIES / "colour.png"
    if harm == "missing":
        victim.unlink()
    elif harm == "altered":
        Image.new("RGB", (99, 99), "red").save(victim)
    else:
        victim.write_bytes(b"junk")
    result = check(classifier)
    assert not_ok(result) == {f"{CANARIES}/colour.png"}
    assert any("colour.png" in word for word in result.words)


def test_no_canaries_prove_nothing(tmp_path: Path) -> None:
    result = check(load(write_bundle(tmp_path / "b")))
    assert not result.ok and result.words


def test_an_unreadable_canary_is_not_recorded(bundle: Path) -> None:
    with pytest.raises(DataError):
        record(load(bundle), ["canaries/none.png"])


def test_the_result_is_json(bundle: Path) -> None:
    result = check(load(bundle))
    assert msgspec.json.decode(msgspec.json.encode(result), type=CheckResult) == result
