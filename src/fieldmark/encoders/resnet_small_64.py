"""The small residual network with 64, 128 and 256 channels: a third wider, for budgets that have the time."""

from __future__ import annotations

from fieldmark.encoders.resnet_small import residual_row

ROW = residual_row((64, 128, 256))
