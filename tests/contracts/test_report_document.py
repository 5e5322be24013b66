"""report.json holds the whole report, and nothing else is taken for one."""

from __future__ import annotations

import json

import pytest

import makers_report as make
from fieldmark.errors import DataError
from fieldmark.report.document import parse, render_json

REPORTS = make.every_report()


@pytest.mark.parametrize("name", REPORTS)
def test_round_trip(name: str) -> None:
    text = render_json(REPORTS[name])
    assert parse(text) == REPORTS[name]
    assert render_json(parse(text)) == text


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", b"\xff\xfe", '{"manifest": {}}'])
def test_what_is_no_report_is_refused_with_the_place(text: str | bytes) -> None:
    with pytest.raises(DataError) as refused:
        parse(text, where="x/report.json")
    assert refused.value.where == "x/report.json" and refused.value.do


def test_an_unknown_field_is_refused() -> None:
    whole = json.loads(render_json(REPORTS["clothing"]))
    with pytest.raises(DataError):
        parse(json.dumps(whole | {"surprise": 1}))
