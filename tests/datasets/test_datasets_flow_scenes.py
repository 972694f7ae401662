"""The frozen scenes: built and read back without TensorFlow."""

import subprocess
import sys

import numpy as np
import pytest

from jaxmotion.scenes import LEVELS, generate

CLIPS = {"train": 3, "validation": 2, "test": 2}

# In processes of their own: to show that TensorFlow is not imported, whatever other tests did.
BUILD = """
import sys
import jaxmotion_datasets.flow_scenes as flow_scenes
config = flow_scenes.FlowScenesConfig(
    name="tiny", level="hard", num_frames=3, height=10, width=15, num_clips=(3, 2, 2)
)
flow_scenes.Builder(config=config, data_dir=sys.argv[1]).download_and_prepare(
    file_format="array_record"
)
assert "tensorflow" not in sys.modules
"""

READ = """
import sys
import numpy as np
import tensorflow_datasets as tfds
import jaxmotion_datasets.flow_scenes
for split in ("train", "validation", "test"):
    source = tfds.builder_from_directory(sys.argv[1]).as_data_source(split=split)
    clips = [source[i] for i in range(len(source))]
    np.savez(f"{sys.argv[2]}/{split}.npz", **{k: [c[k] for c in clips] for k in clips[0]})
assert "tensorflow" not in sys.modules
"""


@pytest.fixture(scope="module")
def read_back(tmp_path_factory):
    data, out = tmp_path_factory.mktemp("data"), tmp_path_factory.mktemp("out")
    subprocess.run([sys.executable, "-c", BUILD, str(data)], check=True, timeout=3600)
    version = data / "flow_scenes" / "tiny" / "1.1.0"
    assert list(version.glob("*.array_record*")), list(version.iterdir())
    subprocess.run([sys.executable, "-c", READ, str(version), str(out)], check=True, timeout=3600)
    return {split: dict(np.load(out / f"{split}.npz")) for split in CLIPS}


@pytest.mark.parametrize("split", CLIPS)
def test_clips_have_the_promised_shapes_and_types(read_back, split):
    clips = read_back[split]
    count = CLIPS[split]
    assert clips["flow"].shape == (count, 3, 10, 15, 2)
    assert clips["flow"].dtype == np.float16
    assert clips["labels"].shape == (count, 3, 10, 15)
    assert clips["labels"].dtype == np.uint8
    assert clips["corrupted"].shape == (count, 3)
    assert clips["corrupted"].dtype == bool
    assert clips["seed"].shape == (count,)


@pytest.mark.parametrize("split", CLIPS)
def test_the_stored_seed_draws_the_stored_clip(read_back, split):
    clips = read_back[split]
    for i, seed in enumerate(clips["seed"].tolist()):
        scene = generate(LEVELS["hard"], 3, 10, 15, seed)
        np.testing.assert_allclose(clips["flow"][i], scene.flow, rtol=1e-3, atol=1e-5)
        np.testing.assert_array_equal(clips["labels"][i], scene.labels)
        np.testing.assert_array_equal(clips["corrupted"][i], scene.corrupted)


def test_no_clip_is_in_two_splits(read_back):
    seeds = np.concatenate([read_back[split]["seed"] for split in CLIPS])
    assert len(np.unique(seeds)) == sum(CLIPS.values())


def test_there_is_a_configuration_for_every_level():
    from jaxmotion_datasets.flow_scenes import Builder

    assert {config.level for config in Builder.BUILDER_CONFIGS} == set(LEVELS)
    assert Builder.BUILDER_CONFIGS[0].name == "default"
