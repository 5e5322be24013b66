"""How large the pixel cache may be, and where it lies."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldmark.errors import UsageError
from fieldmark.training import cache_folder
from fieldmark.training.cache_folder import parse_size, room_for

UNITS = {"KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}


@given(st.integers(1, 10**6), st.sampled_from(sorted(UNITS)), st.sampled_from(["", " "]), st.booleans())
def test_a_number_and_its_unit(number, unit, space, lower):
    text = f"{number}{space}{unit}"
    assert parse_size(text.lower() if lower else text) == number * UNITS[unit]


def test_other_sizes():
    assert parse_size("auto") is None
    assert parse_size("0") == 0
    assert parse_size("1.5GB") == 1_500_000_000


@pytest.mark.parametrize(
    "text", ["", "20", "GB", "-1GB", "1e3GB", "1.GB", "nan", "inf GB", "20 G B", "20GB!", "9" * 400 + "GB"]
)
def test_what_is_no_size_is_refused(text):
    with pytest.raises(UsageError, match="not a size"):
        parse_size(text)


@given(st.text(max_size=30))
def test_no_text_gives_another_error(text):
    try:
        assert (parse_size(text) or 0) >= 0
    except UsageError as error:
        assert "20GB" in error.do


def test_auto_is_half_of_what_would_be_free_without_the_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("FIELDMARK_CACHE", str(tmp_path))
    monkeypatch.setattr(cache_folder, "_free", lambda _: 1000)
    assert room_for("auto").limit == 500
    (tmp_path / "pixels").mkdir()
    (tmp_path / "pixels" / "file").write_bytes(bytes(200))
    assert room_for("auto").limit == 600
    assert room_for("3KB").limit == 3000 and not room_for("3KB").closed
    assert room_for("0").closed
