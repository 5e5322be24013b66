"""The figures that are written down of every model are those that are counted on it."""

from __future__ import annotations

import pytest

from fieldmark.encoders.architectures import ROWS
from fieldmark.encoders.building import encoder_row
from fieldmark.encoders.catalogue import families, our_models
from fieldmark.encoders.counting import count
from fieldmark.encoders.facts import FACTS
from fieldmark.encoders.packaged import PACKAGED
from fieldmark.encoders.row import ENCODERS
from fieldmark.encoders.zoo import hub_file

NAMES = (*ENCODERS, *(row.name for row in ROWS))


@pytest.mark.parametrize("name", NAMES)
def test_the_figures_are_those_of_the_network(name):
    counted, written = count(encoder_row(name)), FACTS[name]
    assert (written.size_px, written.parameters, written.multiply_adds) == (
        counted.size_px,
        counted.parameters,
        counted.multiply_adds,
    )


@pytest.mark.parametrize("name", NAMES)
def test_the_licence_is_that_of_the_weights_that_are_published(name):
    weights = encoder_row(name).weights
    published = PACKAGED[weights].licence if weights in PACKAGED else hub_file(weights)[2] if weights else ""
    assert FACTS[name].licence == published.lower()


def test_every_model_is_in_the_catalogue_and_nothing_else_is():
    assert set(FACTS) == set(NAMES)
    assert [model.name for model in (*our_models(), *families())] == list(NAMES)
    assert all(model.family and model.summary for model in (*our_models(), *families()))


def test_a_count_follows_the_size():
    row = encoder_row("resnet18")
    small, large = count(row, 128), count(row, 256)
    assert small.parameters == large.parameters
    assert large.multiply_adds == pytest.approx(4 * small.multiply_adds, rel=0.01)
    # He et al. 2015, table 1: 1.8 x 10^9 at 224 px.
    assert count(row).multiply_adds == pytest.approx(1.8e9, rel=0.02)
