"""Every kind of trained network is loaded, and refused, in one way."""

import pytest

from jaxmotion.errors import InputError
from jaxmotion.inference.detector import FrameDetector
from jaxmotion.inference.event_finder import EventFinder
from jaxmotion.inference.inpainter import FlowInpainter
from jaxmotion.inference.instance_segmenter import InstanceSegmenter
from jaxmotion.inference.num_masks import ChoosingSegmenter
from jaxmotion.inference.segmenter import Segmenter

LOADERS = (
    Segmenter,
    ChoosingSegmenter,
    InstanceSegmenter,
    FlowInpainter,
    FrameDetector,
    EventFinder,
)


@pytest.mark.parametrize("loader", LOADERS, ids=lambda loader: loader.__name__)
def test_a_network_that_cannot_be_loaded_is_named_once(loader, tmp_path):
    missing = str(tmp_path / "nowhere")
    with pytest.raises(InputError) as error:
        loader.load(missing)
    assert str(error.value).count(missing) == 1
    wrong = "saliency" if loader is not FrameDetector else "em-k2"
    with pytest.raises(InputError, match=f"^{wrong}: ") as error:
        loader.load(wrong)
    assert str(error.value).count(f"{wrong}:") == 1
