"""A folder is opened as a bundle, or refused with the reason. Nothing in it is run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec

from fieldmark.bundle.checksums import AGAIN, read_sums, verify
from fieldmark.bundle.consistency import problems
from fieldmark.bundle.layout import GRAPH, MANIFEST, SUMS
from fieldmark.bundle.schema import READABLE, SCHEMA, Manifest
from fieldmark.bundle.writing import previous_of
from fieldmark.errors import BundleError

_MAX_MANIFEST_BYTES = 64 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """A classifier on disk whose files are as they were written. `graph` is the file that answers, by `runner` where
    it is one of them alone; `notes` say where that is not the one that a person may expect."""

    path: Path
    manifest: Manifest
    graph: Path
    runner: str | None = None
    notes: tuple[str, ...] = ()


class _Numbered(msgspec.Struct, frozen=True):
    """The one field that every schema shares."""

    schema: int


def open_bundle(path: str | Path) -> Bundle:
    """Opens the bundle in folder `path`, after the checksum of every file listed in SHA256SUMS was compared.

    Files that are not listed (`.git`, what a model hub adds) are ignored. Raises BundleError where the folder is
    no bundle, a listed file is missing, altered or outside the folder, or `fieldmark.json` is of another schema,
    has an unknown or missing field, or contradicts itself.
    """
    folder = Path(path)
    _refuse_what_is_no_bundle(folder)
    sums = read_sums(folder)
    for name in (MANIFEST, GRAPH):
        if name not in sums:
            raise BundleError(f"{name} is not listed in {SUMS}", where=str(folder / SUMS), do=AGAIN)
    verify(folder, sums)
    manifest = parse(_bounded(folder / MANIFEST), where=folder / MANIFEST)
    named = [canary.file for canary in manifest.canaries]
    for name in (*named, *(manifest.variant.files if manifest.variant else ())):
        if name not in sums:
            raise BundleError(f"{name} is not listed in {SUMS}", where=str(folder), do=AGAIN)
    return Bundle(path=folder, manifest=manifest, graph=folder / GRAPH)


def parse(encoded: bytes, *, where: Path) -> Manifest:
    """`fieldmark.json` as a value; BundleError names the schema or the field that is wrong."""
    try:
        _refuse_another_schema(msgspec.json.decode(encoded, type=_Numbered).schema, where)
        manifest = msgspec.json.decode(encoded, type=Manifest)
    except msgspec.ValidationError as error:
        what, _, field = str(error).partition(" - at ")
        raise _not_a_manifest(what, f"{where}, field {field.strip('`') or '$'}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _not_a_manifest(f"it is not JSON: {error}", str(where)) from error
    except RecursionError as error:
        raise _not_a_manifest("it is nested too deep", str(where)) from error
    for field, what in problems(manifest):
        raise _not_a_manifest(what, f"{where}, field $.{field}")
    return manifest


def _not_a_manifest(what: str, where: str) -> BundleError:
    return BundleError(f"{MANIFEST} does not describe a classifier: {what}", where=where, do=AGAIN)


def _refuse_what_is_no_bundle(folder: Path) -> None:
    if (folder / MANIFEST).is_file():
        return
    do = f"give the folder that `fieldmark train` wrote: it holds {MANIFEST}, {GRAPH} and {SUMS}"
    if folder.is_dir():
        raise BundleError(f"this folder is not a bundle: it has no {MANIFEST}", where=str(folder), do=do)
    if folder.exists():
        raise BundleError("a bundle is a folder, and this is a file", where=str(folder), do=do)
    kept = previous_of(folder)
    if kept.is_dir():
        do = f"writing it anew was cut off; the old bundle is whole, get it back with: mv {kept} {folder}"
    raise BundleError("there is no such bundle", where=str(folder), do=do)


def _refuse_another_schema(schema: int, where: Path) -> None:
    if schema in READABLE:
        return
    age, do = (
        ("newer", "update this one: pip install -U fieldmark")
        if schema > SCHEMA
        else ("older", "train the bundle again, or use the version named in its field `versions`")
    )
    raise BundleError(
        f"the bundle was made by {'a' if age == 'newer' else 'an'} {age} Fieldmark: "
        f"schema {schema}, and this version reads schema {READABLE[0]} to {SCHEMA}",
        where=f"{where}, field $.schema",
        do=do,
    )


def _bounded(path: Path) -> bytes:
    if path.stat().st_size > _MAX_MANIFEST_BYTES:
        raise _not_a_manifest(f"it is larger than {_MAX_MANIFEST_BYTES} bytes", str(path))
    return path.read_bytes()
