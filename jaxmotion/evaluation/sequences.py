"""The data that a video is scored on: its flow and the annotated frames that count."""

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from jaxmotion.data.masks import MAX_LABEL, check_background
from jaxmotion.data.pairing import check_shape
from jaxmotion.data.sequence import Sequence
from jaxmotion.errors import InputError
from jaxmotion.evaluation.protocol import Protocol

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Annotation:
    """The annotated frames of a sequence.

    Attributes:
        frames: int `[n]`, index of each frame within the video, ascending.
        names: name of each annotation file, without suffix.
        labels: uint8 `[n, H, W]`, 0 for background, otherwise an object.
        void: bool `[n, H, W]`, pixels that do not count; None if all do.
    """

    frames: np.ndarray
    names: tuple[str, ...]
    labels: np.ndarray
    void: np.ndarray | None = None

    @property
    def foreground(self) -> np.ndarray:
        """All objects as one: bool `[n, H, W]`."""
        return self.labels != 0

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        height, width = self.labels.shape[1:]
        return height, width

    def select(self, positions) -> "Annotation":
        """Some of the annotated frames."""
        names = tuple(self.names[i] for i in positions)
        void = None if self.void is None else self.void[positions]
        return Annotation(self.frames[positions], names, self.labels[positions], void)

    def shown(self, void_label: int = MAX_LABEL) -> np.ndarray:
        """Labels with the void pixels marked, and an object of that very label as 1.

        Binary masks are often 0 and 255: uint8 `[n, H, W]`.
        """
        labels = np.where(self.labels == void_label, 1, self.labels).astype(np.uint8)
        return labels if self.void is None else np.where(self.void, np.uint8(void_label), labels)


@dataclass(frozen=True)
class ScoredSequence:
    """A sequence as an evaluation reads it. Flow t goes from frame t to frame t + 1.

    Attributes:
        record: the sequence with its named fields.
    """

    record: Sequence

    @property
    def name(self) -> str:
        """Name of the sequence."""
        return self.record.name

    @property
    def has_flow(self) -> bool:
        """Whether there is flow; without it only masks can be compared."""
        return "flow" in self.record.readers

    @property
    def has_frames(self) -> bool:
        """Whether there are pictures of the frames."""
        return "frames" in self.record.readers

    def frame(self, number: int) -> np.ndarray:
        """Reads a frame of the video, uint8 `[H, W, 3]`.

        Args:
            number: number of the frame, from 0.

        Raises:
            InputError: there are no frames, or this one is missing or damaged.
        """
        if not self.has_frames:
            raise InputError(f"{self.name}: no frames, expected some for outlines to follow")
        return self.record.read(("frames",), [number])["frames"][0]

    def files(self, with_frames: bool = False) -> list[Path]:
        """The files that its scores depend on.

        Args:
            with_frames: whether pictures of the frames are among them.
        """
        return [*self.record.paths, *(self.record.frame_paths if with_frames else ())]

    def read(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Reads the flow and the masks of the frames that have one, every frame being annotated.

        Returns:
            flow float32 `[T, h, w, 2]`, where it is known, bool `[T, h, w]`, and masks bool
            `[T, H, W]`.

        Raises:
            InputError: a file is missing, damaged, of another size than its neighbors or of no
                frame, or the flow is of another shape than the masks.
        """
        flow, valid = self.read_flow()
        annotation, _ = self.read_annotation(Protocol(), len(flow))
        self.check_shape(flow.shape[1:3], annotation.size)
        return flow, valid, annotation.foreground

    def read_flow(self) -> tuple[np.ndarray, np.ndarray]:
        """Reads the flow, float32 `[T, h, w, 2]`, and where it is known, bool `[T, h, w]`.

        Raises:
            InputError: it is missing or damaged.
        """
        if not self.has_flow:
            raise InputError(f"{self.name}: no flow is named, only masks can be compared")
        found = self.record.read(("flow", "valid"), range(self.record.length))
        return found["flow"], found["valid"] > 0

    def check_shape(self, flow_size: tuple[int, ...], size: tuple[int, ...]) -> None:
        """Checks that flow has the aspect ratio of the masks.

        Args:
            flow_size: height and width of the flow.
            size: height and width of the masks.

        Raises:
            InputError: it has not.
        """
        check_shape(self.record.source, flow_size, size, "the masks")

    def read_annotation(
        self, protocol: Protocol, num_flows: int | None = None
    ) -> tuple[Annotation, int]:
        """Reads the annotated frames that count.

        Args:
            protocol: protocol that says which frames count.
            num_flows: number of frames that have a flow; None where there is no flow: all but the
                last.

        Returns:
            The annotation, and the number of frames of the video that it was placed in.

        Raises:
            InputError: a mask is missing, damaged or of another size than its neighbors, or cannot
                be placed in the video.
        """
        if self.record.place is None or self.record.annotations is None:
            raise InputError(f"{self.record.source}: nothing is annotated, expected masks or boxes")
        timeline = self.record.place(protocol.every_frame)
        frames, num_frames = timeline.annotated, len(timeline.names)
        if num_flows is None:
            num_flows = max(num_frames - 1, 1)
        counted = protocol.scored(frames, num_frames, num_flows)
        folder = timeline.annotations[0].parent
        if not len(counted):
            raise InputError(
                f"{folder}: no mask of a frame that has a flow, there are {num_flows} flow fields"
            )
        paths, places = [timeline.annotations[i] for i in counted], [frames[i] for i in counted]
        labels, void = self.record.annotations(counted.tolist())
        void = void if protocol.void == MAX_LABEL and void.any() else None
        labels = labels.astype(np.uint8)
        if void is not None:
            labels[void] = 0
        annotation = Annotation(np.array(places), tuple(p.stem for p in paths), labels, void)
        if protocol.target != "objects":
            check_background(paths, list(annotation.labels))
        if not annotation.foreground.any():
            if void is not None:
                raise InputError(
                    f"{folder}: no label but {protocol.void}, which does not count, expected others"
                )
            _log.warning("%s: no object in any mask", folder)
        return annotation, num_frames

    def read_frame(self, t: int, size: tuple[int, ...] | None = None) -> np.ndarray:
        """Reads frame t.

        Args:
            t: index of the frame.
            size: height and width of the masks; None where they do not matter.

        Returns:
            uint8 `[H, W, 3]`.

        Raises:
            InputError: the frame is missing, damaged or of another aspect ratio than the masks.
        """
        frame = self.record.read(("frames",), [t])["frames"][0]
        if size is not None:
            path = self.record.frame_path(t) if self.record.frame_path else self.name
            check_shape(path, frame.shape[:2], size, "the masks", kind="a frame")
        return frame
