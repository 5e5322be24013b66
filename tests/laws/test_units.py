"""Amounts as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldmark import units
from fieldmark.errors import UsageError


@pytest.mark.parametrize(
    ("read", "text", "value"),
    [
        (units.milliseconds, "20ms", 20.0),
        (units.milliseconds, "0.5 s", 500.0),
        (units.milliseconds, "800us", 0.8),
        (units.size_in_bytes, "10MB", 10_000_000),
        (units.size_in_bytes, "1.5 gb", 1_500_000_000),
        (units.size_in_bytes, "500kB", 500_000),
        (units.count, "5M", 5_000_000),
        (units.count, "1.2G", 1_200_000_000),
        (units.count, "40000", 40_000),
        (units.seconds, "90", 90.0),
        (units.seconds, "2h", 7200.0),
    ],
)
def test_what_people_write(read, text, value):
    assert read(text, where="--x") == pytest.approx(value)


@pytest.mark.parametrize("read", [units.milliseconds, units.size_in_bytes, units.count, units.seconds])
@pytest.mark.parametrize("text", ["", "ms", "-3ms", "0MB", "nan", "inf", "3 parsecs", "1e999s", "none"])
def test_what_is_no_amount_is_refused_with_its_place(read, text):
    with pytest.raises(UsageError) as refused:
        read(text, where="--limit")
    assert "--limit" in refused.value.where and refused.value.do.startswith("write")


@given(st.floats(0.001, 1e6))
def test_units_agree_with_each_other(amount):
    assert units.milliseconds(f"{amount}s", where="") == pytest.approx(
        1000 * units.milliseconds(f"{amount}ms", where="")
    )
