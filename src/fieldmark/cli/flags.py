"""Flags derived from the recipe's fields, so that nothing is declared twice, and the one merge of settings."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import click
import msgspec

from fieldmark.errors import UsageError
from fieldmark.training.recipe import Recipe

F = TypeVar("F", bound=Callable[..., Any])


def recipe_options(function: F) -> F:
    """One option for each field of Recipe; an option that is not given is absent (None)."""
    hints = get_type_hints(Recipe, include_extras=True)
    for field in reversed(msgspec.structs.fields(Recipe)):
        hint = hints[field.name]
        option = click.option(
            "--" + field.name.replace("_", "-"),
            field.name,
            default=None,
            metavar=_metavar(hint),
            help=f"{_description(hint)} [{field.default}]",
        )
        function = option(function)
    return function


def merged_recipe(file: Path | None, flags: dict[str, str | None]) -> Recipe:
    """Default < recipe file (TOML or JSON) < flag. Raises UsageError naming the field that does not fit."""
    settings = dict(_read_recipe(file)) if file is not None else {}
    settings.update({name: text for name, text in flags.items() if text is not None})
    try:
        return msgspec.convert(settings, Recipe, strict=False)
    except msgspec.ValidationError as error:
        raise UsageError(
            "a setting does not fit the recipe",
            where=str(error).replace("$.", ""),
            do="see `fieldmark train --help` for each setting's values",
        ) from None


def _read_recipe(file: Path) -> dict[str, Any]:
    try:
        text = file.read_text(encoding="utf-8")
        settings = tomllib.loads(text) if file.suffix == ".toml" else msgspec.json.decode(text)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, msgspec.DecodeError) as error:
        raise UsageError(
            "the recipe cannot be read", where=f"{file}: {error}", do="give a TOML or JSON file"
        ) from None
    if not isinstance(settings, dict):
        raise UsageError("the recipe is not a table of settings", where=str(file), do='write it as {"epochs": 5}')
    return settings


def _description(hint: Any) -> str:
    return next((meta.description for meta in _metas(hint) if meta.description), "")


def _metas(hint: Any) -> list[msgspec.Meta]:
    own = [meta for meta in getattr(hint, "__metadata__", ()) if isinstance(meta, msgspec.Meta)]
    return own + [meta for part in get_args(hint) for meta in _metas(part) if not isinstance(part, str)]


def _metavar(hint: Any) -> str:
    if get_origin(hint) is Literal:
        return "|".join(get_args(hint))
    names = [_metavar(part) for part in get_args(hint) if not isinstance(part, msgspec.Meta)]
    return "|".join(names) if names else {int: "N", float: "X", str: "TEXT"}.get(hint, "TEXT")
