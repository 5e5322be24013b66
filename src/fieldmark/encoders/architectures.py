"""The families of the field, a row for each: timm's networks, by timm's names, with what is known of them.

Reading this table needs no torch. Every other name of timm's works too; a row adds where the idea comes from, and how
the network is built for images of 64 px or less, for which its own stem would leave a single position.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """For images of at most 64 px: `halvings_off` of the first layers that halve the image keep its size, patches
    are of `patch_px` or somewhat less, as divides the image (0: as they are), attention windows of `window`;
    `full_layers_off`: without the layers between the maps and the classifier that were made for 7 x 7 positions.
    `optimiser` trains it best from scratch, at `rate_share` of the usual rate."""

    name: str
    family: str
    summary: str
    reference: str
    optimiser: str = "muon"
    rate_share: float = 1.0
    halvings_off: int = 0
    patch_px: int = 0
    window: int = 0
    full_layers_off: bool = False


TRANSFORMERS = 0.25  # of AdamW's usual rate, which makes it DeiT's 5e-4 (Touvron et al. 2020)

ROWS = (
    Architecture(
        name="vgg16_bn",
        family="VGG",
        summary="sixteen layers of 3 x 3 convolutions, one after the other",
        reference="Simonyan and Zisserman 2014, Very deep convolutional networks; with batch norm",
        full_layers_off=True,
    ),
    Architecture(
        name="resnet18",
        family="ResNet",
        summary="the usual yardstick: blocks that add to what they were given",
        reference="He et al. 2015, Deep residual learning for image recognition",
        halvings_off=1,
    ),
    Architecture(
        name="resnet50",
        family="ResNet",
        summary="the yardstick with bottlenecks, 25 million weights",
        reference="He et al. 2015, Deep residual learning for image recognition",
        halvings_off=1,
    ),
    Architecture(
        name="densenet121",
        family="DenseNet",
        summary="every layer sees all layers before it",
        reference="Huang et al. 2016, Densely connected convolutional networks",
        halvings_off=1,
    ),
    Architecture(
        name="inception_v3",
        family="Inception",
        summary="filters of several sizes side by side",
        reference="Szegedy et al. 2015, Rethinking the Inception architecture",
        halvings_off=2,
    ),
    Architecture(
        name="efficientnet_b0",
        family="EfficientNet",
        summary="depth, width and size scaled together; small for its accuracy",
        reference="Tan and Le 2019, EfficientNet",
        halvings_off=2,
    ),
    Architecture(
        name="mobilenetv1_100",
        family="MobileNet",
        summary="convolutions split in two, for telephones",
        reference="Howard et al. 2017, MobileNets",
        halvings_off=2,
    ),
    Architecture(
        name="mobilenetv2_100",
        family="MobileNet",
        summary="narrow blocks that widen inside",
        reference="Sandler et al. 2018, MobileNetV2",
        halvings_off=2,
    ),
    Architecture(
        name="mobilenetv3_large_100",
        family="MobileNet",
        summary="found by search, quick on processors",
        reference="Howard et al. 2019, Searching for MobileNetV3",
        halvings_off=2,
    ),
    Architecture(
        name="mobilenetv4_conv_small",
        family="MobileNet",
        summary="the newest one, quick on phones of all makers",
        reference="Qin et al. 2024, MobileNetV4",
        halvings_off=2,
    ),
    Architecture(
        name="convnext_atto",
        family="ConvNeXt",
        summary="a convolutional network built as transformers are, in its smallest size",
        reference="Liu et al. 2022, A ConvNet for the 2020s",
        optimiser="adamw",
        halvings_off=1,
    ),
    Architecture(
        name="darknet53",
        family="YOLO",
        summary="the classifier of YOLOv3",
        reference="Redmon and Farhadi 2018, YOLOv3",
        halvings_off=2,
    ),
    Architecture(
        name="cspdarknet53",
        family="YOLO",
        summary="the classifier of YOLOv4, half of its maps led past each stage",
        reference="Bochkovskiy et al. 2020, YOLOv4; Wang et al. 2019, CSPNet",
        halvings_off=2,
    ),
    Architecture(
        name="cs3darknet_s",
        family="YOLO",
        summary="the classifier of YOLOv5 and later ones, small, under a permissive licence",
        reference="Wightman 2022, after Jocher 2020, YOLOv5",
        halvings_off=2,
    ),
    Architecture(
        name="vit_tiny_patch16_224",
        family="ViT",
        summary="a transformer over patches; wants weights, or very many images",
        reference="Dosovitskiy et al. 2020, An image is worth 16 x 16 words",
        optimiser="adamw",
        rate_share=TRANSFORMERS,
        patch_px=8,
    ),
    Architecture(
        name="deit_tiny_patch16_224",
        family="ViT",
        summary="a ViT that learnt from ImageNet alone",
        reference="Touvron et al. 2020, Training data-efficient image transformers",
        optimiser="adamw",
        rate_share=TRANSFORMERS,
        patch_px=8,
    ),
    Architecture(
        name="swin_tiny_patch4_window7_224",
        family="Swin",
        summary="attention within windows that shift from layer to layer",
        reference="Liu et al. 2021, Swin transformer",
        optimiser="adamw",
        rate_share=TRANSFORMERS,
        patch_px=2,
        window=4,
    ),
    Architecture(
        name="convit_tiny",
        family="ConViT",
        summary="attention that begins as convolution and may leave it",
        reference="d'Ascoli et al. 2021, ConViT",
        optimiser="adamw",
        rate_share=TRANSFORMERS,
        patch_px=8,
    ),
    Architecture(
        name="mobilevit_s",
        family="hybrid",
        summary="MobileNet's blocks with small transformers between them",
        reference="Mehta and Rastegari 2021, MobileViT",
        optimiser="adamw",
        halvings_off=2,
    ),
)
