from __future__ import annotations

from pathlib import Path

import pytest

from makers import fieldmark, photo_folder


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """36 photos in three classes."""
    return photo_folder(tmp_path_factory.mktemp("data") / "photos", per_class=12)


@pytest.fixture(scope="session")
def bundle(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle that `fieldmark train` made of them: a probe, judged out of fold."""
    folder = tmp_path_factory.mktemp("bundle")
    trained = fieldmark("train", photos, "--model", "hog+colour", "--out", "discs.fieldmark", cwd=folder)
    if trained.returncode:
        pytest.fail(trained.stderr)
    return folder / "discs.fieldmark"
