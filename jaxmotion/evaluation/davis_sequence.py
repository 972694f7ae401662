"""One sequence of a folder laid out like DAVIS: its flow, masks and frames, put together."""

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from jaxmotion.data.masks import check_background
from jaxmotion.data.pairing import check_shape, place_files
from jaxmotion.data.pictures import read_image
from jaxmotion.errors import InputError
from jaxmotion.evaluation.annotations import Annotation, read_annotation, read_masks
from jaxmotion.evaluation.protocol import Protocol
from jaxmotion.evaluation.timeline import (
    Timeline,
    check_flow,
    place_every_mask,
    place_some_masks,
)
from jaxmotion.optical_flow.formats import read_flow_sequence

RESOLUTION = "480p"

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class DavisSequence:
    """Where the parts of one sequence lie. Flow t goes from frame t to frame t + 1.

    Attributes:
        name: Name of the sequence.
        flow_path: `.npz` file, or folder of `.flo` files; None where only masks are compared.
        mask_paths: One mask per annotated frame, in order.
        frame_paths: One picture per frame, in order; may be empty.
    """

    name: str
    flow_path: Path | None
    mask_paths: tuple[Path, ...]
    frame_paths: tuple[Path, ...]

    def read(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Reads the flow and the masks of the frames that have one, every frame being annotated.

        Returns:
            flow float32 `[T, h, w, 2]`, where it is known, bool `[T, h, w]`, and masks bool
            `[T, H, W]`.

        Raises:
            InputError: A file is missing, damaged, of another size than its neighbours or of no
                frame, or the flow is of another shape than the masks.
        """
        flow, valid = self.read_flow()
        self.timeline(Protocol(), len(flow))
        masks = read_masks(self.mask_paths[: len(flow)])
        self.check_shape(flow.shape[1:3], masks.shape[1:])
        return flow, valid, masks

    def read_flow(self) -> tuple[np.ndarray, np.ndarray]:
        """Reads the flow, float32 `[T, h, w, 2]`, and where it is known, bool `[T, h, w]`.

        Raises:
            InputError: It is missing or damaged.
        """
        if self.flow_path is None:
            raise InputError(f"{self.name}: no flow is named, only masks can be compared")
        return read_flow_sequence(self.flow_path)

    def check_shape(self, flow_size: tuple[int, ...], size: tuple[int, ...]) -> None:
        """Checks that flow has the aspect ratio of the masks.

        Args:
            flow_size: Height and width of the flow.
            size: Height and width of the masks.

        Raises:
            InputError: It has not.
        """
        check_shape(self.flow_path or self.name, flow_size, size, "the masks")

    def timeline(self, protocol: Protocol, num_flows: int | None = None) -> Timeline:
        """Which frames there are, and of which of them each mask is.

        Args:
            protocol: Says whether every frame must be annotated.
            num_flows: How many flow fields there are; None where there is no flow.

        Raises:
            InputError: A mask or a flow that is missing or of no frame.
        """
        place = place_every_mask if protocol.every_frame else place_some_masks
        timeline = place(self.mask_paths, self.frame_paths, self.flow_path, num_flows)
        if self.flow_path is not None and num_flows is not None:
            check_flow(self.flow_path, num_flows, timeline)
        return timeline

    def read_annotation(
        self, protocol: Protocol, num_flows: int | None = None
    ) -> tuple[Annotation, int]:
        """Reads the annotated frames that count.

        Args:
            protocol: Says which do.
            num_flows: Frames that have a flow; None where there is no flow: all but the last.

        Returns:
            The annotation, and the number of frames of the video that it was placed in.

        Raises:
            InputError: A mask is missing, damaged or of another size than its neighbours, or
                cannot be placed in the video.
        """
        timeline = self.timeline(protocol, num_flows)
        frames, num_frames = timeline.annotated, len(timeline.names)
        if num_flows is None:
            num_flows = max(num_frames - 1, 1)
        counted = protocol.scored(frames, num_frames, num_flows)
        if not len(counted):
            raise InputError(
                f"{self.mask_paths[0].parent}: no mask of a frame that has a flow, there are "
                f"{num_flows} flow fields"
            )
        paths, places = [self.mask_paths[i] for i in counted], [frames[i] for i in counted]
        annotation = read_annotation(paths, places, protocol.void)
        if protocol.target != "objects":
            check_background(paths, list(annotation.labels))
        if not annotation.foreground.any():
            folder = self.mask_paths[0].parent
            if annotation.void is not None:
                raise InputError(
                    f"{folder}: no label but {protocol.void}, which does not count, expected others"
                )
            _log.warning("%s: no object in any mask", folder)
        return annotation, num_frames

    def read_frame(self, t: int, size: tuple[int, ...] | None = None) -> np.ndarray:
        """Reads frame t.

        Args:
            t: Which.
            size: Height and width of the masks; None where they do not matter.

        Returns:
            uint8 `[H, W, 3]`.

        Raises:
            InputError: The frame is missing, damaged or of another aspect ratio than the masks.
        """
        names = self.frame_names(t + 1)
        places = place_files(self.frame_paths, names) if self.frame_paths else []
        if t not in places:
            raise InputError(
                f"{self.name}: no picture of frame {names[t]} in JPEGImages/{RESOLUTION}/"
                f"{self.name}, which has {len(self.frame_paths)}"
            )
        path = self.frame_paths[places.index(t)]
        frame = read_image(path)
        if size is not None:
            check_shape(path, frame.shape[:2], size, "the masks", kind="a frame")
        return frame

    def frame_names(self, num_frames: int) -> list[str]:
        """Names for the files of all frames: those of the pictures or masks, or 00000, ..."""
        frames, masks = ([p.stem for p in paths] for paths in (self.frame_paths, self.mask_paths))
        if frames and None in place_files(self.mask_paths, frames):
            frames = []  # some are missing
        for names in (frames, masks):
            if len(names) >= num_frames:
                return names[:num_frames]
        return [f"{t:05d}" for t in range(num_frames)]
