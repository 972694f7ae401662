"""Protocols: what is segmented at once, what of it is scored against what, and averaged how."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np

from jaxmotion.errors import InputError
from jaxmotion.metrics import foreground

ScoredFrames = Literal["flow", "official"]
Target = Literal["foreground", "box", "objects"]
Average = Literal["sequence", "frame", "object"]
"""Over what a dataset's mean is taken: sequence means, all frames, or the means of all objects."""

SELECTION_RULES = ("salient", *foreground.RULES)
"""Rules that read segments as one foreground: `saliency.salient`, those of `metrics.foreground`."""


@dataclass(frozen=True)
class Protocol:
    """The rules by which a dataset is scored.

    Attributes:
        select: rule that reads the segments as one foreground, see `SELECTION_RULES`; of no
            meaning where objects are matched.
        cut: frames given to the predictor at once, and for which the foreground is selected
            together; 0 takes the whole sequence. The last cut may be shorter.
        frames: `"flow"` scores every annotated frame that has a flow: all but the last.
            `"official"` scores those of the dataset's own code, see `official`.
        name: name of the preset.
        target: what is scored. `"foreground"`: all objects as one. `"box"`: the box around the
            largest connected region of the foreground against the annotated box. `"objects"`: each
            object with the segment that is assigned to it over the whole video.
        measures: names of the measures: `"J"`, `"F"`, `"bIoU"`.
        average: unit of the means over a dataset: frames, objects or sequences.
        every_frame: whether every frame must be annotated, or only some are.
        void: label of the pixels that do not count, in annotations that are indexed pictures.
        max_segments: labels that a result may have at most; 0 for any number.
        published: name of the dataset in `published.csv`.
        official: frames that the dataset's own code scores: `"inner"`, all but the first and the
            last one; `"all"` (masks that come from flow end a frame earlier); None where it has no
            rule of its own.
        overrules: whether `select` also reads methods that have a rule of their own.
    """

    select: str = "except_largest"
    cut: int = 0
    frames: ScoredFrames = "flow"
    name: str = "davis2016"
    target: Target = "foreground"
    measures: tuple[str, ...] = ("J", "F")
    average: Average = "sequence"
    every_frame: bool = True
    void: int | None = None
    max_segments: int = 0
    published: str = "DAVIS2016-val"
    official: Literal["inner", "all"] | None = "inner"
    overrules: bool = False

    def __post_init__(self):
        if self.select not in SELECTION_RULES:
            expected = ", ".join(SELECTION_RULES)
            raise InputError(f"--select {self.select}: unknown rule, expected {expected}")
        if self.cut < 0:
            raise InputError(f"--cut {self.cut}: expected a number of frames, or 0 for all")
        if self.frames not in get_args(ScoredFrames):
            expected = " or ".join(get_args(ScoredFrames))
            raise InputError(f"--frames {self.frames}: unknown, expected {expected}")
        if self.frames == "official" and self.official is None:
            raise InputError(
                f"--frames official: {self.name} has no frames of its own, expected flow"
            )

    def cuts(self, num_frames: int) -> Iterator[slice]:
        """The runs of frames that are segmented together."""
        step = self.cut or num_frames
        for start in range(0, num_frames, step):
            yield slice(start, min(start + step, num_frames))

    def scored(self, annotated: Sequence[int], num_frames: int, num_flows: int) -> np.ndarray:
        """Selects the annotated frames that count.

        Args:
            annotated: indices of the annotated frames within the video, ascending.
            num_frames: number of frames of the video.
            num_flows: number of frames that have a flow, the first ones.

        Returns:
            Positions in `annotated`, at least one if there is any with a flow.
        """
        frames = np.asarray(annotated, int)
        wanted = frames < num_flows
        if self.frames == "official" and self.official == "inner" and num_flows > 1:
            wanted &= (frames > 0) & (frames < num_frames - 1)
        elif self.frames == "official" and self.official == "all":
            wanted = frames < num_frames
        return np.flatnonzero(wanted)


_DAVIS2016 = Protocol()
_SPARSE = replace(_DAVIS2016, average="frame", every_frame=False, official=None)
_OBJECTS = replace(_DAVIS2016, target="objects", average="object", void=255)

PRESETS: dict[str, Protocol] = {
    protocol.name: protocol
    for protocol in (
        _DAVIS2016,
        replace(_SPARSE, name="segtrack_v2", published="SegTrackV2"),
        replace(_SPARSE, name="fbms59", published="FBMS59-val"),
        replace(_SPARSE, name="moca", target="box", measures=("J",), published="MoCA"),
        replace(
            _OBJECTS,
            name="davis2017_motion",
            max_segments=20,
            published="DAVIS2017-motion-val",
            official="all",
        ),
        replace(
            _OBJECTS,
            name="fbms59_multi",
            measures=("J", "bIoU"),
            every_frame=False,
            published="FBMS59-val multi-object",
            official=None,
        ),
    )
}


def preset(name: str, **changes) -> Protocol:
    """A named protocol, with other cuts, selection or frames.

    Args:
        name: name of the protocol, a key of `PRESETS`.
        changes: fields to replace; None leaves one as it is. A rule of selection that is asked for
            is that of all methods.

    Raises:
        InputError: the name, or what a field became, is unknown.
    """
    if name not in PRESETS:
        raise InputError(f"--protocol {name}: unknown, expected {', '.join(PRESETS)}")
    given = {key: value for key, value in changes.items() if value is not None}
    return replace(PRESETS[name], overrules="select" in given, **given)
