"""dense RootSIFT in a learnt vocabulary, over a spatial pyramid (Lazebnik et al. 2006); texture and parts

Descriptors of 4 x 4 cells x 8 directions (Lowe 2004) on a dense grid, square-rooted (Arandjelovic & Zisserman 2012),
shared softly between 128 words that k-means finds in the training pictures (Csurka et al. 2004; van Gemert et al.
2010), counted over the whole picture, its quarters and its sixteenths (Lazebnik et al. 2006).
128 * (1 + 4 + 16) = 2,688 numbers, square-rooted, of unit length.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from sklearn.cluster import MiniBatchKMeans
from torch import Tensor

from fieldmark.data.geometry import Geometry
from fieldmark.encoders.encoder import Encoder
from fieldmark.encoders.orientation import Rosette, strongest_gradient
from fieldmark.encoders.pooling import box, pool, tent
from fieldmark.encoders.row import EncoderRow

_DIRECTIONS = 8
_SIDE = 4  # cells along a side of a descriptor
_WORDS = 128
_SHARPNESS = 20.0  # of the soft assignment: exp(-sharpness * squared distance)
_GRIDS = (1, 2, 4)
_PICTURES_TO_LEARN = 2_000
_DESCRIPTORS_TO_LEARN = 50_000


class DenseSift(Encoder):
    """Embedding float32 [N, 2688] of unit length. `words` float32 [128, 128] are random until learnt."""

    words: Tensor
    tent: Tensor

    def __init__(self, size_px: int) -> None:
        super().__init__()
        # Cells of 2 px in a small picture, a 32nd of the side in a large one; descriptors start at every cell.
        cells = min(32, max(2 * _SIDE, size_px // 2))
        self.rosette = Rosette(_DIRECTIONS)
        self.register_buffer("tent", tent(size_px, cells), persistent=False)
        for count in _GRIDS:
            self.register_buffer(f"box{count}", box(cells - _SIDE + 1, count), persistent=False)
        descriptor = _SIDE * _SIDE * _DIRECTIONS
        start = torch.rand(_WORDS, descriptor, generator=torch.Generator().manual_seed(0))
        self.register_buffer("words", F.normalize(start))
        self.embedding_size = _WORDS * sum(count * count for count in _GRIDS)

    def forward(self, pixels: Tensor) -> Tensor:
        descriptors = self.descriptors(pixels)
        # |d - w|**2 = |d|**2 + |w|**2 - 2 d w, and the first term is the same for all words.
        words = self.words[:, :, None, None]
        offset = -_SHARPNESS * self.words.square().sum(dim=1)
        shares = F.conv2d(descriptors, 2 * _SHARPNESS * words, offset).softmax(dim=1)
        # An even surface has no descriptor and votes for nothing.
        votes = shares * descriptors.square().sum(dim=1, keepdim=True)
        counts = [pool(votes, self.get_buffer(f"box{count}")).flatten(1) for count in _GRIDS]
        return F.normalize((torch.cat(counts, dim=1) + 1e-8).sqrt())

    def descriptors(self, pixels: Tensor) -> Tensor:
        """float32 [N, 3, S, S] -> RootSIFT [N, 128, K, K], of unit length where there is contrast."""
        cells = pool(self.rosette(strongest_gradient(pixels)), self.tent)
        count = cells.shape[-1] - _SIDE + 1
        windows = [cells[:, :, i : i + count, j : j + count] for i in range(_SIDE) for j in range(_SIDE)]
        raw = torch.cat(windows, dim=1)
        return (raw / (raw.sum(dim=1, keepdim=True) + 1e-2) + 1e-12).sqrt()

    def learn(self, pixels: NDArray[np.uint8], seed: int) -> None:
        """Words = k-means centres of descriptors drawn from up to 2,000 training pictures."""
        chance = np.random.default_rng(seed)
        chosen = np.sort(chance.permutation(len(pixels))[:_PICTURES_TO_LEARN])
        each = max(1, _DESCRIPTORS_TO_LEARN // len(chosen))
        drawn = []
        with torch.inference_mode():
            for start in range(0, len(chosen), 64):
                pictures = torch.from_numpy(pixels[chosen[start : start + 64]]).permute(0, 3, 1, 2).float() / 255
                for found in self.descriptors(pictures).flatten(2).transpose(1, 2).numpy():
                    drawn.append(found[chance.permutation(len(found))[:each]])
        sample = np.concatenate(drawn)
        words = min(_WORDS, len(sample))
        clusters = MiniBatchKMeans(words, batch_size=4096, n_init=1, max_iter=30, random_state=seed).fit(sample)
        self.words[:words] = torch.from_numpy(clusters.cluster_centers_.astype(np.float32))


def _geometry(size_px: int | None) -> Geometry:
    return Geometry(size_px=size_px or 128)


ROW = EncoderRow(
    reference="Lazebnik, Schmid & Ponce, Beyond Bags of Features, CVPR 2006",
    build=DenseSift,
    geometry=_geometry,
    fits_small=True,
    method="probe",
    trainable=False,
)
