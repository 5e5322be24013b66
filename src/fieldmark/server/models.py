"""Which models a server has: names, versions, aliases, and how the command line says so."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fieldmark.bundle.layout import name_of
from fieldmark.bundle.schema import Manifest
from fieldmark.errors import UsageError
from fieldmark.server.refusals import RequestError

CHAMPION = "champion"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A bundle on disk that is to be served as version `version` (from 1) of model `name`."""

    name: str
    version: str
    path: Path

    @property
    def key(self) -> str:
        return f"{self.name}/{self.version}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A model that answers: where it came from, what it says of itself, the sha256 of the graph that answers, and
    `notes` where that is not the one that a person may expect."""

    source: Source
    manifest: Manifest
    digest: str
    notes: tuple[str, ...] = ()


def sources(words: Sequence[str]) -> tuple[Source, ...]:
    """`[NAME=]BUNDLE` for each model; several of one name are its versions 1, 2 ... in the order given."""
    found: list[Source] = []
    for word in words:
        name, given, path = word.partition("=")
        if not given:
            path, name = word, name_of(Path(word))
        if not _NAME.fullmatch(name):
            raise UsageError(
                f"{name!r} cannot be the name of a model in a URL",
                where=word,
                do="give one of letters, digits, dot, dash and underscore before it: NAME=BUNDLE",
            )
        version = 1 + sum(source.name == name for source in found)
        found.append(Source(name=name, version=str(version), path=Path(path)))
    return tuple(found)


def aliases(words: Sequence[str], models: Sequence[Source]) -> dict[tuple[str, str], str]:
    """(model, alias) -> version, from `[MODEL/]ALIAS=VERSION`. Each model has the alias "champion": its last version,
    unless it is given another."""
    names = list(dict.fromkeys(source.name for source in models))
    found = {(source.name, CHAMPION): source.version for source in models}
    for word in words:
        left, _, version = word.partition("=")
        name, _, alias = left.rpartition("/")
        name = name or names[0]
        if not any((source.name, source.version) == (name, version) for source in models):
            have = ", ".join(source.key for source in models)
            raise UsageError(
                f"there is no version {version!r} of {name!r}", where=f"--alias {word}", do=f"have: {have}"
            )
        if not _NAME.fullmatch(alias) or alias.isdigit():
            raise UsageError(
                f"{alias!r} cannot be an alias", where=f"--alias {word}", do="use letters, and not digits alone"
            )
        found[name, alias] = version
    return found


def resolve(
    served: Mapping[str, Served], named: Mapping[tuple[str, str], str], name: str | None, version: str | None
) -> Served:
    """The model that a request means: by default the only one, and of several versions the champion.

    RequestError (404, or 400 where the name is missing) tells which there are.
    """
    names = list(dict.fromkeys(each.source.name for each in served.values()))
    if name is None and len(names) > 1:
        raise RequestError("which model?", where="model", do=f"name one: {', '.join(names)}")
    name = names[0] if name is None else name
    found = served.get(f"{name}/{named.get((name, version or CHAMPION), version)}")
    if found is None:
        wanted = f"{name}, version {version}" if name in names else name
        raise RequestError(
            f"there is no model {wanted[:200]}", where="model", do=f"have: {', '.join(served)}", status=404
        )
    return found
