"""Sequences in files: opened by their headers, their fields read when they are asked for."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import compress
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from jaxmotion.data.davis import SequenceFiles
from jaxmotion.data.fingerprints import (
    content_fingerprint,
    file_fingerprint,
    whole_fingerprint,
)
from jaxmotion.data.flow_cache import FlowCache
from jaxmotion.data.masks import MAX_LABEL, read_label_pictures
from jaxmotion.data.pairing import check_shape, place_files
from jaxmotion.data.pictures import read_image, reading_picture
from jaxmotion.data.sequence import (
    FieldArrays,
    Frames,
    Reader,
    Sequence,
    annotation_readers,
)
from jaxmotion.data.timeline import find_timeline, frame_names
from jaxmotion.data.transforms import Size
from jaxmotion.errors import InputError
from jaxmotion.files import numbered, reading
from jaxmotion.optical_flow.fields import field_files, field_size
from jaxmotion.optical_flow.formats import (
    flow_npz_is_half,
    load_flow_npz,
    read_flow_and_valid,
)
from jaxmotion.optical_flow.origin import read_flow_origin


def open_all(
    files: list[SequenceFiles], cache: FlowCache, thorough: bool = False
) -> list[Sequence]:
    """Opens sequences, several at a time.

    Args:
        files: files of each sequence.
        cache: cache of their flow, which also knows the size wanted.
        thorough: whether to read all of their flow too, to know what of it is unusable.

    Returns:
        The sequences in that order, each as `open_files` returns it.
    """
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        jobs = pool.map(partial(open_files, cache=cache, thorough=thorough), files)
        bar = tqdm(jobs, "reading flow", len(files), unit="sequence", delay=2, leave=False)
        try:
            return list(bar)
        finally:
            pool.shutdown(cancel_futures=True)


def open_files(files: SequenceFiles, cache: FlowCache, thorough: bool = False) -> Sequence:
    """Opens a sequence by the headers of its files.

    Args:
        files: files of its parts.
        cache: cache of its flow, which also knows the size wanted.
        thorough: whether to read all of its flow too, to know what of it is unusable.

    Returns:
        The sequence with its faults; where nothing of its flow can be read it has no frame.
    """
    try:
        flow, gaps = _flow_files(files.flow)
        origin = read_flow_origin(files.flow) if files.flow is not None else None
    except InputError as error:
        return Sequence(files.name, str(files.flow), 0, {}, faults=(str(error),))
    faults = [f"{missing}: missing frame" for missing in gaps.values()]
    usable, size = _read_headers(flow, faults)
    if thorough:
        _read_content(flow, cache, usable, faults)
    run = np.zeros(len(usable), int)
    for before in gaps:
        run[before + 1 :] += 1
    length = len(usable) if flow else max(len(files.frames) - 1, len(files.masks) - 1, 1)
    place = partial(find_timeline, files, length if flow else None) if files.masks else None
    annotations = None
    frame_path = partial(_find_frame, files, length) if files.frames else None
    readers: dict[str, Reader] = {}
    if flow:
        readers |= dict.fromkeys(("flow", "valid"), partial(_read_flow, flow, cache))
    if frame_path is not None:
        readers["frames"] = partial(_read_frames, frame_path)
    if place is not None:
        annotations = partial(_read_annotations, files, size)
        readers |= annotation_readers(place, annotations)
    return Sequence(
        name=files.name,
        source=str(files.flow or (files.masks or files.frames)[0].parent),
        length=length,
        readers=readers,
        size=(cache.size or size) if size is not None else None,
        half=_is_archive(flow) and size is not None and flow_npz_is_half(flow[0]),
        units=(origin.size if origin is not None else None) or _picture_size(files),
        usable=usable,
        run=run,
        faults=tuple(faults),
        place=place,
        annotations=annotations,
        paths=(*files.masks, *([] if files.flow is None else [files.flow])),
        frame_paths=files.frames,
        frame_path=frame_path,
        frame_names=partial(frame_names, files),
        fingerprint=partial(_fingerprint, flow, usable, file_fingerprint),
        whole_fingerprint=partial(_whole_fingerprint, flow, usable),
        old_fingerprint=partial(_fingerprint, flow, usable, _old_fingerprint),
    )


def _flow_files(flow: Path | None) -> tuple[list[Path], dict[int, Path]]:
    """The files of a sequence's flow in order, and what is missing between them."""
    if flow is None:
        return [], {}
    with reading(flow):
        return numbered(field_files(flow)) if flow.is_dir() else ([flow], {})


def _read_headers(flow: list[Path], faults: list[str]) -> tuple[np.ndarray, Size | None]:
    """The frames that can be used, as far as headers tell, and their size; adds what cannot."""
    usable, size = np.ones(len(flow), bool), None
    for index, file in enumerate(flow):
        try:
            count, height, width = field_size(file)
            if size is not None and (height, width) != size:
                raise InputError(
                    f"{file}: {width} x {height}, expected {size[1]} x {size[0]} as the others of "
                    "its folder"
                )
            size = height, width
            if _is_archive(flow):
                usable = np.ones(count, bool)
        except InputError as error:
            faults.append(str(error))
            usable[index] = False
    return usable, size


def _read_content(flow: list[Path], cache: FlowCache, usable: np.ndarray, faults: list[str]):
    """Marks frames whose vectors cannot be used, and adds what is wrong with them."""
    for index, file in enumerate(flow):
        frames = np.arange(len(usable)) if _is_archive(flow) else np.array([index])
        try:
            if usable[frames].any():
                vectors, _ = cache.load(file, partial(_load, file))
                for frame in frames[~np.isfinite(vectors).all((1, 2, 3))]:
                    usable[frame] = False
                    faults.append(_not_finite(file, frame))
        except InputError as error:
            faults.append(str(error))
            usable[frames] = False


def _is_archive(flow: list[Path]) -> bool:
    return len(flow) == 1 and flow[0].suffix.lower() == ".npz"


def _load(file: Path) -> tuple[np.ndarray, np.ndarray | None]:
    if file.suffix.lower() == ".npz":
        return load_flow_npz(file)
    flow, valid = read_flow_and_valid(file)
    return flow[None], valid[None]


def _not_finite(file: Path, frame: int) -> str:
    return f"{file}, frame {frame}: NaN or infinite vectors, expected finite flow"


def _read_flow(flow: list[Path], cache: FlowCache, frames: Frames) -> FieldArrays:
    if _is_archive(flow):
        vectors, known = cache.load(flow[0], partial(_load, flow[0]))
        vectors, known = vectors[list(frames)], known[list(frames)]
        for frame, field in zip(frames, vectors, strict=True):
            if not np.isfinite(field).all():
                raise InputError(_not_finite(flow[0], frame))
    else:
        parts = [cache.load(flow[t], partial(_load, flow[t])) for t in frames]
        vectors, known = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return {"flow": vectors.astype(np.float32), "valid": known.astype(np.float32)}


def _find_frame(files: SequenceFiles, length: int, t: int) -> Path:
    names = frame_names(files, max(length, t + 1))
    places = place_files(files.frames, names)
    if t not in places:
        raise InputError(
            f"{files.name}: no picture of frame {names[t]} in "
            f"{'/'.join(files.frames[0].parts[-4:-1])}, which has {len(files.frames)}"
        )
    return files.frames[places.index(t)]


def _read_frames(frame_path: Callable[[int], Path], frames: Frames) -> FieldArrays:
    return {"frames": np.stack([read_image(frame_path(t)) for t in frames])}


def _read_annotations(
    files: SequenceFiles, flow_size: Size | None, numbers: Frames
) -> tuple[np.ndarray, np.ndarray]:
    pictures = read_label_pictures([files.masks[i] for i in numbers])
    labels = np.stack([values for values, _ in pictures])
    if flow_size is not None:
        check_shape(files.flow or files.name, flow_size, labels.shape[1:], "the masks")
    indexed = np.array([indexed for _, indexed in pictures])
    return labels, (labels == MAX_LABEL) & indexed[:, None, None]


def _picture_size(files: SequenceFiles) -> Size | None:
    """Height and width of the pictures of a sequence, by the header of one."""
    for path in (*files.masks[:1], *files.frames[:1]):
        try:
            with reading_picture(path), Image.open(path) as image:
                width, height = image.size
                turned = image.getexif().get(0x0112, 1) >= 5
                return (width, height) if turned else (height, width)
        except InputError:  # said when it is read
            continue
    return None


def _sound(flow: list[Path], usable: np.ndarray) -> list[bool]:
    return [bool(usable.any())] if len(flow) == 1 else usable.tolist()


def _whole_fingerprint(flow: list[Path], usable: np.ndarray) -> bytes:
    return whole_fingerprint(list(compress(flow, _sound(flow, usable))))


def _fingerprint(flow: list[Path], usable: np.ndarray, of_file: Callable[[Path], bytes]) -> bytes:
    sound = _sound(flow, usable)
    return b"".join(of_file(f) if good else b"-" for f, good in zip(flow, sound, strict=True))


def _old_fingerprint(file: Path) -> bytes:
    return content_fingerprint(*_load(file))
