"""Pairs of aerial frames as a source of clips, drawn when they are asked for."""

import dataclasses
from dataclasses import dataclass
from functools import cached_property

from jaxmotion.data.clips import Clip, checked_index, held_out
from jaxmotion.data.scene_source import VALIDATION_SEED
from jaxmotion.data.transforms import Size
from jaxmotion.errors import InputError
from jaxmotion.scenes.aerial import draw_pair
from jaxmotion.scenes.aerial_config import AERIAL
from jaxmotion.scenes.grounds import Ground, country, pictures

PAIRS = 2000
"""Number of pairs in an epoch: what is kept in memory, 110 MB at 96 x 96."""


@dataclass(frozen=True)
class AerialSource:
    """Pairs of aerial frames, without their flow: clips of two frames.

    Pair `i` is the same whoever asks, and no two seeds share one. A pair is drawn once and kept.

    Attributes:
        level: name of the distribution in `jaxmotion.scenes.aerial_config.AERIAL`.
        size: `(height, width)` of the frames, in pixels.
        seed: seed of the pairs, 0 or more.
        length: number of pairs in an epoch.
        pictures: folder of pictures for the ground; empty for procedural grounds.
    """

    level: str
    size: Size = (96, 96)
    seed: int = 0
    length: int = PAIRS
    pictures: str = ""

    def __post_init__(self):
        if self.level not in AERIAL:
            raise InputError(
                f"aerial:{self.level}: unknown level, expected one of {', '.join(AERIAL)}"
            )
        if self.length < 1 or min(self.size) < 16 or self.seed < 0:
            raise InputError(
                f"aerial:{self.level}: {self.length} pairs of {self.size} with seed {self.seed}, "
                "expected sides of at least 16 and a seed >= 0"
            )

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Clip:
        number = checked_index(index, self.length)
        if number not in self._drawn:
            pair = draw_pair(
                AERIAL[self.level], *self.size, seed=self.seed * 2**32 + number, ground=self._ground
            )
            self._drawn[number] = pair.frames
        return {"frames": self._drawn[number], "name": f"aerial/{self.level}/{self.seed}/{number}"}

    def hold_out(self, fraction: float, seed: int = 0) -> tuple["AerialSource", "AerialSource"]:
        """Gives other pairs to validate on, the same whatever the seed of those to train on.

        Args:
            fraction: share of the pairs to validate on, between 0 and 1.
            seed: seed of the pairs to validate on.

        Returns:
            The pairs to train on and those to validate on.
        """
        held = held_out(self.length, fraction)
        train = dataclasses.replace(self, length=self.length - held)
        return train, dataclasses.replace(self, length=held, seed=VALIDATION_SEED + seed)

    @cached_property
    def _drawn(self) -> dict:
        return {}

    @cached_property
    def _ground(self) -> Ground:
        return pictures(self.pictures) if self.pictures else country
