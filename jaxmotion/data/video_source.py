"""Frames of videos as a source of clips: what a network learns from that needs no flow."""

import dataclasses
import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from jaxmotion.data.clips import Clip, checked_index, held_out, rank
from jaxmotion.data.config import DEFAULT_CACHE_BYTES
from jaxmotion.data.fingerprints import file_fingerprint
from jaxmotion.data.pictures import read_image
from jaxmotion.data.transforms import Size
from jaxmotion.data.video import VIDEO_SUFFIXES, Video, open_video
from jaxmotion.errors import InputError
from jaxmotion.files import reading


@dataclass(frozen=True, eq=False)
class VideoSource:
    """Parts of the frames of videos, at places that follow from the number of the clip.

    Nothing is resized: small objects stay as they are. Pictures are read when they are asked for; a
    video file is decoded once and kept.

    Attributes:
        videos: videos that the clips are from.
        clips: int `[num_clips, 3]`, video, earliest frame and interval of each.
        num_frames: T, number of frames of a clip.
        size: `(height, width)` of the parts, in pixels.
    """

    videos: tuple[Video, ...]
    clips: np.ndarray
    num_frames: int
    size: Size

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, index: int) -> Clip:
        number, start, interval = (int(i) for i in self.clips[checked_index(index, len(self))])
        video = self.videos[number]
        times = range(start, start + self.num_frames * abs(interval), abs(interval))
        times = times if interval > 0 else times[::-1]
        rng = np.random.default_rng(index)
        top = rng.integers(video.height - self.size[0] + 1)
        left = rng.integers(video.width - self.size[1] + 1)
        part = np.s_[top : top + self.size[0], left : left + self.size[1]]
        frames = np.stack([self._frame(number, time)[part] for time in times])
        return {"frames": frames, "name": f"{video.path.name}/{start:05d}"}

    def fingerprint(self) -> str:
        """A word that tells these videos from others of the same names."""
        digest = hashlib.blake2b(digest_size=16)
        for video in self.videos:
            for path in video.files or (video.path,):
                digest.update(file_fingerprint(path))
        return digest.hexdigest()

    def hold_out(self, fraction: float, seed: int = 0) -> tuple["VideoSource", "VideoSource"]:
        """Splits off whole videos, or the end of the only one.

        Args:
            fraction: share of the videos (of the frames of a single one) to validate on, between 0
                and 1.
            seed: seed of the choice.

        Returns:
            The clips to train on and those to validate on.

        Raises:
            InputError: too little to leave clips on both sides.
        """
        count = len(self.videos)
        if count > 1:
            order = sorted(range(count), key=lambda i: rank(self.videos[i].path.name, seed))
            held = np.isin(self.clips[:, 0], order[: held_out(count, fraction)])
            train, validation = self.clips[~held], self.clips[held]
        else:
            last = self.clips[:, 1] + (self.num_frames - 1) * np.abs(self.clips[:, 2])
            end = int(last.max()) + 1
            cut = end - held_out(end, fraction)
            train, validation = self.clips[last < cut], self.clips[self.clips[:, 1] >= cut]
        if not len(train) or not len(validation):
            raise InputError(
                f"{self.videos[0].path}: too short to hold out {fraction:g} of it, expected more "
                "frames or another video to validate on"
            )
        return dataclasses.replace(self, clips=train), dataclasses.replace(self, clips=validation)

    def _frame(self, number: int, time: int) -> np.ndarray:
        video = self.videos[number]
        if video.files:
            return read_image(video.files[time])
        if number not in self._decoded:
            self._decoded[number] = np.stack(list(video))
        return self._decoded[number][time]

    @cached_property
    def _decoded(self) -> dict[int, np.ndarray]:
        return {}


def open_videos(
    path: str | Path,
    num_frames: int,
    intervals: tuple[int, ...],
    size: Size,
    cache_bytes: int = DEFAULT_CACHE_BYTES,
) -> VideoSource:
    """Opens a video, a folder of pictures, or a folder of such.

    Args:
        path: video file, folder of pictures, or folder of videos and folders.
        num_frames: T, number of frames of a clip.
        intervals: frames from one of a clip to the next; of several, each makes clips of its own.
        size: `(height, width)` of the parts that clips show.
        cache_bytes: largest number of bytes of decoded video files, all of which are kept.

    Returns:
        The source.

    Raises:
        InputError: nothing there, a video that is too short or smaller than the parts, or video
            files that are too large.
    """
    path = Path(path)
    with reading(path):
        found = sorted(path.iterdir()) if path.is_dir() else [path]
    inside = [p for p in found if p.is_dir() or p.suffix.lower() in VIDEO_SUFFIXES]
    videos = tuple(open_video(place) for place in (inside if path.is_dir() and inside else [path]))
    decoded = sum(3 * v.height * v.width * (v.num_frames or 0) for v in videos if not v.files)
    if decoded > cache_bytes:
        raise InputError(
            f"{path}: {decoded / 1e9:.1f} GB of decoded frames, expected at most data.cache_bytes, "
            f"{cache_bytes / 1e9:.1f} GB; folders of pictures may be of any size"
        )
    clips = []
    for number, video in enumerate(videos):
        if video.height < size[0] or video.width < size[1]:
            raise InputError(
                f"{video.path}: {video.width} x {video.height}, expected at least the clips' "
                f"{size[1]} x {size[0]}"
            )
        for interval in intervals:
            span = (num_frames - 1) * abs(interval) + 1
            starts = range((video.num_frames or 0) - span + 1)
            clips += [(number, start, interval) for start in starts]
    if not clips:
        raise InputError(
            f"{path}: no clip of {num_frames} frames at intervals {intervals} in {len(videos)} "
            "video(s)"
        )
    return VideoSource(videos, np.array(clips), num_frames, size)
