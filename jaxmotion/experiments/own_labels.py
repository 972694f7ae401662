"""Labels of what moves, told without annotation, as a data set to train from."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from jaxmotion.data.masks import write_label_pictures
from jaxmotion.data.sources import FlowSource
from jaxmotion.data.transforms import resize_flow_and_valid
from jaxmotion.experiments.instances import connected_parts
from jaxmotion.inference.instance_segmenter import TrackMasks
from jaxmotion.inference.segmenter import Segmenter
from jaxmotion.saliency import salient_segments

_LABELS = "Annotations/480p"  # as `jaxmotion.data.LAYOUTS` has it
_LEAST_PART = 1e-3  # of all pixels of what moves in a video; smaller parts are no objects


def write_own_labels(
    source: FlowSource,
    segmenter: Segmenter | TrackMasks,
    out: Path,
    flow_name: str = "raft",
    objects: bool = False,
) -> Iterator[tuple[str, float]]:
    """Segments videos, chooses what moves in each, and writes both flow and labels.

    The folder is laid out like DAVIS: a name of the data to train on, ``--data.source OUT``. No
    annotation is looked at.

    Args:
        source: the sequences, with their flow.
        segmenter: network that segments them, or finds their objects.
        out: folder to write to.
        flow_name: name of the folder of the flow, OUT/Flows/NAME.
        objects: whether objects get labels of their own: the tracks of a network of instances, or
            the parts of what moves that are connected in space and time, the largest first. Else
            all that moves has the label 1.

    Yields:
        The name of each sequence once it is written, and the share of its pixels that moves.

    Raises:
        InputError: flow that cannot be read.
    """
    for sequence in source.sequences:
        if not sequence.length:
            continue
        read = sequence.read(("flow", "valid"), range(sequence.length))
        size = segmenter.working_size(*read["flow"].shape[1:3])
        flow, valid = resize_flow_and_valid(read["flow"], read["valid"], size)
        masks = segmenter(flow, valid)
        labels = masks.argmax(axis=-1)
        moving = salient_segments(masks, flow, valid=valid)[labels]
        if objects:
            moving = (
                labels * moving
                if isinstance(segmenter, TrackMasks)
                else connected_parts(moving, int(_LEAST_PART * moving.sum()))
            )
        flows = out / "Flows" / flow_name
        flows.mkdir(parents=True, exist_ok=True)
        np.savez(flows / f"{sequence.name}.npz", flow=np.float16(flow), valid=valid > 0)
        # The last frame has no flow to a next one: its labels are those of the one before.
        labels = np.concatenate([moving, moving[-1:]]).astype(np.uint8)
        names = [f"{t:05d}" for t in range(len(labels))]
        write_label_pictures(out / _LABELS / sequence.name, names, labels)
        yield sequence.name, float((moving > 0).mean())
