"""Where things are kept between runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from fieldmark import caches


@pytest.mark.parametrize(
    ("platform", "variables", "expected"),
    [
        ("linux", {}, "home/.cache/fieldmark/pixels"),
        ("linux", {"XDG_CACHE_HOME": "/xdg"}, "/xdg/fieldmark/pixels"),
        ("darwin", {}, "home/Library/Caches/fieldmark/pixels"),
        ("win32", {}, "home/AppData/Local/fieldmark/Cache/pixels"),
        ("win32", {"LOCALAPPDATA": "/local"}, "/local/fieldmark/Cache/pixels"),
        ("linux", {"FIELDMARK_CACHE": "/ours", "XDG_CACHE_HOME": "/xdg"}, "/ours/pixels"),
    ],
)
def test_each_system_has_its_place_for_caches(monkeypatch, tmp_path, platform, variables, expected):
    for name in ("FIELDMARK_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(caches.sys, "platform", platform)
    monkeypatch.setattr(caches.Path, "home", lambda: tmp_path / "home")
    assert caches.cache_folder("pixels") == tmp_path / Path(expected)


def test_without_a_home_there_is_no_place(monkeypatch):
    def nowhere():
        raise RuntimeError("no home directory")

    monkeypatch.delenv("FIELDMARK_CACHE", raising=False)
    monkeypatch.setattr(caches.Path, "home", nowhere)
    with pytest.raises(FileNotFoundError, match="no home"):
        caches.cache_folder("pixels")
