"""Converters are let work without their remarks."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout


@contextmanager
def quiet() -> Iterator[None]:
    """Neither warnings nor log lines below errors: of deprecations, of optional parts that are not there, of versions
    that were not tried. What a form is worth, its proof says. Bars of progress go where ours do (NNCF prints its on
    standard output, which belongs to the answer)."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), redirect_stdout(sys.stderr):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
