"""Jordan's network for 32 px with 32, 128 and 128 channels: a third of the work, for budgets of a few minutes."""

from __future__ import annotations

from fieldmark.encoders.airbench import airbench_row

ROW = airbench_row((32, 128, 128))
