"""Filters of models: each leaves what keeps to it, and several leave what keeps to all."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldmark.encoders.catalogue import Bounds, families, our_models, within
from fieldmark.errors import UnknownName

ALL = (*our_models(), *families())


@given(
    parameters=st.none() | st.integers(1, 10**9),
    multiply_adds=st.none() | st.integers(1, 10**11),
    size_bytes=st.none() | st.integers(1, 10**10),
    family=st.none() | st.sampled_from(sorted({model.family for model in ALL})),
    licence=st.none() | st.sampled_from(["apache-2.0", "MIT", "none", "gpl"]),
)
def test_several_filters_leave_what_each_leaves(parameters, multiply_adds, size_bytes, family, licence):
    bounds = Bounds(
        parameters=parameters, multiply_adds=multiply_adds, size_bytes=size_bytes, family=family, licence=licence
    )
    alone = [
        {model.name for model in within(ALL, Bounds(**{name: getattr(bounds, name)}))}
        for name in ("parameters", "multiply_adds", "size_bytes", "family", "licence")
    ]
    assert {model.name for model in within(ALL, bounds)} == set.intersection(*alone)


def test_each_filter_can_tell():
    assert within(ALL, Bounds()) == list(ALL)
    mobile = within(ALL, Bounds(family="mobilenet"))
    assert len(mobile) >= 4 and {model.family for model in mobile} == {"MobileNet"}
    assert {model.name for model in within(ALL, Bounds(licence="none"))} >= {"lenet", "hog"}
    light = within(ALL, Bounds(multiply_adds=10**9))
    assert "resnet50" not in {model.name for model in light} and light
    by_bytes, by_parameters = within(ALL, Bounds(size_bytes=4 * 10**7)), within(ALL, Bounds(parameters=10**7))
    assert by_bytes == by_parameters


def test_an_unknown_family_is_a_question():
    with pytest.raises(UnknownName, match="unknown family") as refused:
        within(ALL, Bounds(family="mobilnet"))
    assert "MobileNet" in refused.value.do
