"""What a form that a graph can be written in says of itself."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fieldmark.bundle.schema import Manifest
from fieldmark.cores import instruction_sets
from fieldmark.data.picture import Pixels
from fieldmark.inference.runner import Outputs
from fieldmark.table import Table

Precision = Literal["float32", "float16", "bfloat16", "int8"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What a form is made of: the float32 `graph`, and pixels uint8 [N, S, S, 3] through the geometry that
    serves: `calibration` to set ranges by, `held_back`, of other images, to see how well that went."""

    manifest: Manifest
    graph: Path
    calibration: Pixels
    held_back: Pixels


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """`files`, relative to the folder that they were written in, the one to open first; `notes`: how it was made."""

    files: tuple[str, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """A row. `write(source, folder)` writes into a folder that holds a copy of the bundle. `arithmetic` is what an
    int8 form computes in where it does not in int8. `runner` is the row of RUNNERS that runs it, "" where the light
    half has none; then `infer(file)` makes it ready to be proven, None where nothing on this kind of machine can.
    `packages` must be installed to write it; `install` brings them."""

    reference: str
    precision: Precision
    arithmetic: Precision = "float32"
    runner: str = ""
    packages: tuple[str, ...]
    install: str
    write: Callable[[Source, Path], Written]
    infer: Callable[[Path], Callable[[Pixels], Outputs]] | None = None

    @property
    def asked_of_processor(self) -> Precision:
        """The precision that a processor must compute in as the one that proved it does."""
        # x86-64 processors with bf16 are those with VNNI, too.
        return "bfloat16" if "bfloat16" in (self.precision, self.arithmetic) else self.precision

    @property
    def provable(self) -> bool:
        """Whether anything on this machine runs it as it will be run."""
        asked = self.asked_of_processor
        return bool(self.runner or self.infer) and (asked != "bfloat16" or asked in instruction_sets())


FORMS: Table[Form] = Table.folder("form", "fieldmark.conversion")


def missing(form: Form) -> tuple[str, ...]:
    """The packages that writing it asks for, and that are not here."""
    return tuple(name for name in form.packages if importlib.util.find_spec(name) is None)
