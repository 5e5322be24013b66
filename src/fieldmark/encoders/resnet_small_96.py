"""The small residual network with 96, 192 and 384 channels: twice as wide, for fast machines or long budgets."""

from __future__ import annotations

from fieldmark.encoders.resnet_small import residual_row

ROW = residual_row((96, 192, 384))
