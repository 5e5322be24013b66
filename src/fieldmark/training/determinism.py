"""Same plan, same bytes: threads, algorithms and random numbers pinned while training runs, and put back after."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
import torch.utils.deterministic


@contextmanager
def deterministic(threads: int) -> Iterator[None]:
    """Deterministic algorithms on `threads` threads inside the block; the process's own settings afterwards."""
    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    filling: Any = torch.utils.deterministic
    fill = filling.fill_uninitialized_memory
    # cuBLAS reads this at its first use; without it, it is not deterministic.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    with torch.random.fork_rng():
        try:
            torch.set_num_threads(threads)
            # Some GPU operations have no deterministic form: there a warning says so. On a CPU all have one.
            torch.use_deterministic_algorithms(True, warn_only=torch.cuda.is_available())
            # Filling every fresh tensor guards against reading garbage; we never read one, and it costs a pass each.
            filling.fill_uninitialized_memory = False
            yield
        finally:
            torch.set_num_threads(before[0])
            torch.use_deterministic_algorithms(before[1])
            filling.fill_uninitialized_memory = fill


def seed_of(*numbers: int) -> int:
    """One well mixed 63-bit seed from a few numbers (seed, epoch, step): no state to carry or to save."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))
