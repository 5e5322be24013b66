"""EfficientNet-Lite0: ImageNet features that come with the install, for photos."""

from __future__ import annotations

from dataclasses import replace

from fieldmark.encoders.zoo import zoo_row

# The tf_ twin alone: the weights come from TensorFlow, whose padding is another; without it 6.5 points are lost.
ROW = replace(
    zoo_row("tf_efficientnet_lite0"),
    reference="Tan & Le 2019, EfficientNet, arXiv:1905.11946; Liu 2020, EfficientNet-Lite",
    method="probe",
)
