"""Every error that Fieldmark raises on purpose, drawn once.

FieldmarkError
├── UsageError        the command or its settings (UnknownName: a name that no table has; OutOfTime: a short budget)
├── DataError         images, folders, manifests
├── BundleError       a bundle that is incomplete, altered, or of another schema
├── OutputError       a result that could not be written (disk full, not allowed, in the way)
├── MissingExtra      this needs an optional part of the install
├── WeightsError      pretrained weights that cannot be had or do not fit
├── Interrupted       work that something outside put an end to; it can be gone on with (exit 1)
└── ParityError       the exported graph does not answer as the network does (our fault: exit 1)

An error has three parts: what happened, where (file, line, field), what to do next.
The command line prints these without a traceback and exits with `exit_code`; any other exception is a bug.
"""

from __future__ import annotations


class FieldmarkError(Exception):
    """What happened, where, and what to do about it."""

    exit_code = 2

    def __init__(self, what: str, *, where: str, do: str) -> None:
        super().__init__(what, where, do)
        self.what = what
        self.where = where
        self.do = do

    def __str__(self) -> str:
        return f"{self.what}\n  where: {self.where}\n  do:    {self.do}"


class UsageError(FieldmarkError):
    """The command or its settings cannot be followed."""


class UnknownName(UsageError):
    """No row of that name in a table."""


class OutOfTime(UsageError):
    """The time budget leaves too little for what was asked."""


class DataError(FieldmarkError):
    """Images, folders or manifests that cannot be used."""


class BundleError(FieldmarkError):
    """A bundle that is incomplete, altered, or of another schema."""


class OutputError(FieldmarkError):
    """A result that could not be written; nothing half written is left."""


class MissingExtra(FieldmarkError):
    """An optional part of the install is needed."""


class WeightsError(FieldmarkError):
    """Pretrained weights that cannot be had, or do not fit the network."""


class Interrupted(FieldmarkError):
    """Something outside put an end to the work; what was reached is kept."""

    exit_code = 1


class ParityError(FieldmarkError):
    """The exported graph does not answer as the network does. Ours to mend."""

    exit_code = 1
