"""The help of a setting names the rows of its table, all of them and no others. The recipe does not read them from
there: it is imported without torch, and the optimisers' table is not."""

import re
import typing

import pytest

from fieldmark.table import Table
from fieldmark.training.listeners import LISTENERS
from fieldmark.training.optimisers import OPTIMISERS
from fieldmark.training.recipe import Recipe
from fieldmark.training.schedule import SCHEDULES

TABLES: dict[str, Table[typing.Any]] = {"optimiser": OPTIMISERS, "schedule": SCHEDULES, "log": LISTENERS}
GRAMMAR = {"or", "both", "with"}


@pytest.mark.parametrize("field", TABLES)
def test_the_help_names_the_rows(field):
    description = typing.get_type_hints(Recipe, include_extras=True)[field].__metadata__[0].description
    assert set(re.findall(r"[\w-]+", description.partition(": ")[2])) - GRAMMAR == set(TABLES[field])
