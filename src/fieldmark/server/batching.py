"""How many images to run at once: learnt, because on few cores a larger batch often only makes everybody wait."""

from __future__ import annotations

from collections.abc import Mapping

SIZES = (1, 2, 4, 8, 16)
WORTH = 0.95  # a larger batch must take at most this share of a smaller one's time for each image
_MEMORY = 0.9  # the weight of what was known before, against a new figure
_SLOWEST = 3.0  # a single figure counts as at most so many times what was known: a hiccup is no knowledge


class BatchTimes:
    """Seconds that a batch of each of SIZES takes, as far as they were seen."""

    def __init__(self, seconds: Mapping[int, float]) -> None:
        self._seconds = dict(seconds)

    def observe(self, images: int, seconds: float) -> None:
        """A batch of so many images took so long; sizes between those of SIZES tell nothing of either."""
        if images not in SIZES:
            return
        known = self._seconds.get(images, seconds)
        self._seconds[images] = _MEMORY * known + (1 - _MEMORY) * min(seconds, _SLOWEST * known)

    def best(self, bound_s: float) -> int:
        """The size with the least time for each image, among those that are done within `bound_s`; a larger one only
        where it is worth it. 1 where nothing is known, or nothing is quick enough."""
        best = 1
        for size in SIZES[1:]:
            if size in self._seconds and best in self._seconds and self._seconds[size] <= bound_s:
                quicker = self._seconds[size] / size <= WORTH * self._seconds[best] / best
                best = size if quicker else best
        return best
