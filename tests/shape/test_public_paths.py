"""Whoever calls Fieldmark from Python may write a path as a string, wherever a path is taken."""

import inspect
import typing
from pathlib import Path

import pytest

import fieldmark

CALLED = {name: called for name in fieldmark.__all__ if inspect.isfunction(called := getattr(fieldmark, name))} | {
    name: called for name, called in inspect.getmembers(fieldmark.Classifier, inspect.isfunction) if name[0] != "_"
}


def spellings(hint):
    """The types of a hint, with those inside it."""
    if isinstance(hint, list):  # what a callable is called with
        return {found for each in hint for found in spellings(each)}
    inside = typing.get_args(hint)
    return {hint} | {found for each in inside for found in spellings(each)} if inside else {hint}


@pytest.mark.parametrize("name", CALLED)
def test_a_path_may_be_a_string(name):
    hints = typing.get_type_hints(CALLED[name])
    for parameter in inspect.signature(CALLED[name]).parameters:
        taken = spellings(hints.get(parameter))
        assert str in taken or Path not in taken, f"{parameter} takes a Path alone"


def test_there_are_paths_to_be_taken():
    assert {"read", "train", "evaluate", "load", "demonstrate", "predict", "predict_many"} <= set(CALLED)
