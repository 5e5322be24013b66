"""Figures of every model that has a row, so that listing them needs no torch; a test counts them again.

Parameters are of the encoder without a classifier; multiply-adds of its convolutions, matrix products and attention
for one image of `size_px`; `licence` is that of the weights that are published for it, "" where there are none.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """`family` is said here for the table of encoders alone; the families of timm say their own."""

    name: str
    size_px: int
    parameters: int
    multiply_adds: int
    licence: str = ""
    family: str = ""


ROWS = (
    Facts(name="airbench", family="VGG", size_px=32, parameters=1_970_232, multiply_adds=118_144_800),
    Facts(name="airbench-small", family="VGG", size_px=32, parameters=496_824, multiply_adds=33_064_992),
    Facts(name="alexnet", family="AlexNet", size_px=224, parameters=57_004_992, multiply_adds=710_092_480),
    Facts(name="colour", family="colour", size_px=64, parameters=0, multiply_adds=762_752),
    Facts(
        name="efficientnet-lite0",
        family="EfficientNet",
        size_px=224,
        parameters=3_371_008,
        multiply_adds=383_907_552,
        licence="apache-2.0",
    ),
    Facts(name="googlenet", family="Inception", size_px=224, parameters=5_980_832, multiply_adds=1_581_647_872),
    Facts(name="hog", family="HOG", size_px=128, parameters=0, multiply_adds=4_313_088),
    Facts(name="lenet", family="LeNet", size_px=32, parameters=61_298, multiply_adds=650_880),
    Facts(name="resnet-small", family="ResNet", size_px=32, parameters=978_576, multiply_adds=27_131_904),
    Facts(name="sift", family="SIFT", size_px=128, parameters=0, multiply_adds=20_115_456),
    Facts(name="vgg16_bn", size_px=224, parameters=134_268_992, multiply_adds=15_466_168_320, licence="bsd-3-clause"),
    Facts(name="resnet18", size_px=224, parameters=11_176_512, multiply_adds=1_813_561_344, licence="apache-2.0"),
    Facts(name="resnet50", size_px=224, parameters=23_508_032, multiply_adds=4_087_136_256, licence="apache-2.0"),
    Facts(name="densenet121", size_px=224, parameters=6_953_856, multiply_adds=2_833_137_664, licence="apache-2.0"),
    Facts(name="inception_v3", size_px=299, parameters=21_785_568, multiply_adds=5_711_168_096, licence="apache-2.0"),
    Facts(name="efficientnet_b0", size_px=224, parameters=4_007_548, multiply_adds=384_534_752, licence="apache-2.0"),
    Facts(name="mobilenetv1_100", size_px=224, parameters=3_206_976, multiply_adds=567_716_352, licence="apache-2.0"),
    Facts(name="mobilenetv2_100", size_px=224, parameters=2_223_872, multiply_adds=299_494_272, licence="apache-2.0"),
    Facts(
        name="mobilenetv3_large_100",
        size_px=224,
        parameters=4_202_032,
        multiply_adds=215_309_760,
        licence="apache-2.0",
    ),
    Facts(
        name="mobilenetv4_conv_small",
        size_px=224,
        parameters=2_493_024,
        multiply_adds=184_725_568,
        licence="apache-2.0",
    ),
    Facts(name="convnext_atto", size_px=224, parameters=3_374_520, multiply_adds=547_012_480, licence="apache-2.0"),
    Facts(name="darknet53", size_px=256, parameters=40_584_928, multiply_adds=9_284_091_904, licence="apache-2.0"),
    Facts(name="cspdarknet53", size_px=256, parameters=26_617_184, multiply_adds=6_532_628_480, licence="apache-2.0"),
    Facts(name="cs3darknet_s", size_px=256, parameters=2_763_344, multiply_adds=711_720_960, licence="apache-2.0"),
    Facts(
        name="vit_tiny_patch16_224",
        size_px=224,
        parameters=5_524_416,
        multiply_adds=1_253_491_200,
        licence="apache-2.0",
    ),
    Facts(
        name="deit_tiny_patch16_224",
        size_px=224,
        parameters=5_524_416,
        multiply_adds=1_253_491_200,
        licence="apache-2.0",
    ),
    Facts(
        name="swin_tiny_patch4_window7_224",
        size_px=224,
        parameters=27_519_354,
        multiply_adds=4_489_798_656,
        licence="mit",
    ),
    Facts(name="convit_tiny", size_px=224, parameters=5_517_512, multiply_adds=1_252_168_320, licence="apache-2.0"),
    Facts(
        name="mobilevit_s", size_px=256, parameters=4_937_632, multiply_adds=2_000_191_488, licence="cvnets-license"
    ),
)
FACTS = {row.name: row for row in ROWS}
