"""Any backbone of timm, by timm's name for it. The one module that imports timm.

Importing this module takes seconds, so import it where a backbone is wanted and nowhere else.
Source: Wightman, PyTorch Image Models, https://github.com/huggingface/pytorch-image-models
"""

from __future__ import annotations

import difflib
import importlib
import sys
from functools import partial
from types import ModuleType
from typing import Any, Literal

import torch
from torch import Tensor, nn

from fieldmark.data.geometry import Geometry
from fieldmark.encoders.architectures import ROWS, Architecture
from fieldmark.encoders.encoder import Encoder
from fieldmark.encoders.row import ENCODERS, SMALL_PX, EncoderRow
from fieldmark.encoders.small_images import keep_size
from fieldmark.errors import UsageError
from fieldmark.table import unknown_name

FINEST_PX = 4  # of patches that are made smaller so as to divide an image
_OPERATORS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
_FIT: dict[str, Literal["crop", "pad", "squash"]] = {"center": "crop", "squash": "squash", "border": "pad"}


def zoo_names() -> tuple[str, ...]:
    """Every architecture that timm can build, without the tags of pretrained weights."""
    return tuple(timm.list_models())


def zoo_row(name: str) -> EncoderRow:
    """The backbone of this name, with or without a tag ("resnet18", "vit_tiny_patch16_224.augreg_in21k").

    Raises UnknownName where timm has neither the name nor the tag.
    """
    settings = _settings(name)
    known = _known(name)
    paper = ", ".join(filter(None, (settings.paper_name, settings.paper_ids))) or f"timm {timm.__version__}"
    return EncoderRow(
        reference=known.reference if known else paper,
        build=partial(ZooEncoder, name),
        geometry=partial(_geometry, name),
        method="network",
        trainable=True,
        weights=name,
        optimiser=known.optimiser if known else "sgd",
        rate_share=known.rate_share if known else 1.0,
        fits_small=known is not None,
    )


class ZooEncoder(Encoder):
    """A timm backbone without its classifier, untrained, normalising as its pretrained weights expect.

    `embedding_size` is measured, because some nets have a layer between pooling and classifier.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, name: str, size_px: int) -> None:
        super().__init__()
        settings = _settings(name)
        self.network = _create(name, size_px)
        self.register_buffer("mean", torch.tensor(settings.mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(settings.std).view(1, 3, 1, 1))
        self.embedding_size = _embedding_size(self, name, size_px)

    def forward(self, pixels: Tensor) -> Tensor:
        embedding: Tensor = self.network((pixels - self.mean) / self.std)
        return embedding

    def backbone(self) -> nn.Module:
        return self.network


def fit_names(network: nn.Module, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """A published state dict as this network wants it: timm renames old tensors and resizes position embeddings."""
    published = getattr(sys.modules[type(network).__module__], "checkpoint_filter_fn", None)
    return dict(published(tensors, network)) if published else tensors


def hub_file(name: str) -> tuple[str, str, str]:
    """(repository, file, licence) of the pretrained weights on the hub; the repository is "" where there are none."""
    settings = _settings(name)
    return settings.hf_hub_id or "", settings.hf_hub_filename or "model.safetensors", settings.license or ""


def _known(name: str) -> Architecture | None:
    architecture = name.partition(".")[0]
    return next((row for row in ROWS if row.name == architecture), None)


def _settings(name: str) -> Any:
    if not timm.is_model(name) or "/" in name:
        # The near ones of timm's thousand and more names alone: the whole list would help nobody.
        raise unknown_name("model", name, (*ENCODERS, *difflib.get_close_matches(name, zoo_names())))
    architecture, _, tag = name.partition(".")
    tags = [known.partition(".")[2] for known in timm.list_pretrained(f"{architecture}.*")]
    if tag and tag not in tags:
        raise unknown_name("model", name, (f"{architecture}.{known}" for known in tags))
    return timm.get_pretrained_cfg(name) or timm.models.PretrainedCfg(
        input_size=(3, 224, 224), mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)
    )


def _geometry(name: str, size_px: int | None) -> Geometry:
    """At its own size as its makers tested it. At 64 px or less nothing is cut off: a picture of that very size
    passes through unchanged, neither enlarged nor trimmed."""
    settings = _settings(name)
    own_px = max(settings.input_size[1:])
    size_px = size_px or own_px
    whole = size_px <= SMALL_PX and size_px != own_px
    return Geometry(
        size_px=size_px,
        fit=_FIT[settings.crop_mode],
        filter=settings.interpolation,
        crop_fraction=1.0 if whole else settings.crop_pct,
    )


def _create(name: str, size_px: int) -> nn.Module:
    settings = _settings(name)
    fixed = settings.fixed_input_size and tuple(settings.input_size[1:]) != (size_px, size_px)
    known = _known(name) if size_px <= SMALL_PX else None
    patches = {"patch_size": _patch_px(known, size_px), "window_size": known.window or None} if known else {}
    try:
        network: nn.Module = timm.create_model(
            name, pretrained=False, num_classes=0, img_size=size_px if fixed else None, **patches
        )
    except (TypeError, ValueError, AssertionError, RuntimeError) as refusal:  # each family refuses in its own way
        raise _wrong_size(name, size_px) from refusal
    if known:
        keep_size(network, known.halvings_off)
    if known and known.full_layers_off:
        network.pre_logits = nn.Identity()
    return network


def _patch_px(known: Architecture, size_px: int) -> int | None:
    """The largest, up to the row's, that divides the image; half as large, an image would take four times as long,
    which pays after hours on a processor. None: as the network was made."""
    fitting = (side for side in range(known.patch_px, FINEST_PX - 1, -1) if not size_px % side)
    return next(fitting, known.patch_px or None)


def _embedding_size(encoder: ZooEncoder, name: str, size_px: int) -> int:
    training = encoder.training
    try:
        with torch.no_grad():
            embedding = encoder.eval()(torch.zeros(1, 3, size_px, size_px))
    except (ValueError, AssertionError, RuntimeError) as refusal:
        raise _wrong_size(name, size_px) from refusal
    if embedding.ndim != 2:
        raise UsageError(
            f"{name} gives no embedding but {embedding.ndim} dimensions",
            where=f"model = {name!r}",
            do="choose another backbone: fieldmark models",
        )
    encoder.train(training)
    return int(embedding.shape[1])


def _wrong_size(name: str, size_px: int) -> UsageError:
    own = max(_settings(name).input_size[1:])
    return UsageError(
        f"{name} cannot be built for images of {size_px} px",
        where=f"model = {name!r}, size = {size_px}",
        do=f"leave the size out (its own is {own} px), or choose a backbone that takes any size, such as resnet18",
    )


def _import_timm() -> ModuleType:
    """timm needs torchvision, which cannot be imported where it was built for another torch (a CUDA build beside a
    CPU torch, say): its operators are then unknown to torch. timm calls none of them, so naming them is enough."""
    try:
        import torchvision  # noqa: F401
    except RuntimeError:
        for module in [module for module in sys.modules if module.partition(".")[0] == "torchvision"]:
            del sys.modules[module]
        for schema in _OPERATORS:
            _TORCHVISION.define(schema)  # type: ignore[no-untyped-call]
    return importlib.import_module("timm")


# Kept for the life of the process: torch forgets the operators when this goes.
_TORCHVISION = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
timm = _import_timm()
