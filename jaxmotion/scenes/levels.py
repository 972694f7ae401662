"""The named difficulty levels of scenes."""

from dataclasses import replace

from jaxmotion.scenes.config import BehaviorConfig, CrowdConfig, SceneConfig

_DEFAULT = SceneConfig()

LEVELS: dict[str, SceneConfig] = {
    # A single rigid object before a plane, hardly any error: for tests and first steps.
    "easy": replace(
        _DEFAULT,
        object_probabilities=(1.0,),
        object_area=(0.06, 0.2),
        object_turn=0.2,
        object_parts=1,
        nonrigid=0.0,
        depth_variation=0.0,
        depth_slant=0.3,
        occluder_probabilities=(1.0,),
        blur=0.01,
        edge_shift=0.0,
        edge_error=0.0,
        noise_relative=0.003,
        noise_absolute=0.0001,
        patch_share=0.0,
    ),
    # What the quickstart trains on: K = 2 is well posed, a threshold is not enough.
    "default": _DEFAULT,
    # Up to three objects that enter and leave, two occluders, strong parallax, wrecked frames.
    "hard": replace(
        _DEFAULT,
        object_probabilities=(0.4, 0.35, 0.25),
        object_area=(0.015, 0.25),
        nonrigid=0.6,
        stop_probability=0.2,
        tracking_probability=0.3,
        depth_variation=0.3,
        occluder_probabilities=(0.3, 0.4, 0.3),
        occluder_depth=(0.3, 1.5),
        noise_relative=0.05,
        patch_share=0.2,
        patch_error=0.8,
        corrupted_probability=0.03,
    ),
    # For clips of tens to hundreds of frames: motion far from uniform over time, objects that
    # stop, enter and leave, a camera that follows, some wrecked frames.
    "long": replace(
        _DEFAULT,
        object_probabilities=(0.4, 0.4, 0.2),
        stop_probability=0.5,
        tracking_probability=0.9,
        occluder_probabilities=(0.2, 0.3, 0.3, 0.2),
        period=12.0,
        variation=0.9,
        corrupted_probability=0.03,
    ),
    # Does anything move on its own? Half of the scenes have no object, but static things in their
    # place, so near that they differ from the background as much as an object does.
    "parallax": replace(
        _DEFAULT,
        object_probabilities=(0.5, 0.3, 0.2),
        empty_probability=0.5,
        decoy_probability=1.0,
        object_area=(0.02, 0.3),
        object_speed=0.012,
        object_speed_spread=0.5,
        nonrigid=0.5,
        camera_speed=0.016,
        depth_variation=0.2,
        occluder_probabilities=(0.15, 0.35, 0.5),
        occluder_depth=(0.3, 3.5),
        patch_share=0.1,
        patch_error=0.4,
    ),
    # Which objects, however many: up to five, before what moves without being one.
    "crowd_of_objects": replace(
        _DEFAULT,
        object_probabilities=(0.2, 0.3, 0.25, 0.15, 0.1),
        empty_probability=0.05,
        object_area=(0.01, 0.2),
        nonrigid=0.6,
        stop_probability=0.2,
        tracking_probability=0.4,
        depth_variation=0.3,
        depth_slant=1.0,
        depth_roughness=0.15,
        water_probability=0.35,
        occluder_probabilities=(0.25, 0.35, 0.4),
        occluder_depth=(0.2, 1.5),
        noise_relative=0.05,
        patch_share=0.2,
        patch_error=0.8,
        corrupted_probability=0.02,
    ),
    # Small animals before a camera that stands still: up to four objects about 3 to 12 pixels wide
    # in a frame of 64×112, which often rest, on a ground whose flow is 0 but for spots of noise.
    # Set by the flow of DIS in frames 0 to 200 of one video of two flies, without any label of it:
    # number, size, speed and duration of its spots, and an object's speed from that of the fastest
    # pixel there on (`benchmarks/spots.py` prints these figures of both).
    "small_objects": replace(
        _DEFAULT,
        object_probabilities=(0.25, 0.35, 0.25, 0.15),
        empty_probability=0.25,
        object_area=(0.001, 0.015),
        object_speed=0.003,
        object_speed_spread=0.7,
        stop_probability=0.6,
        earliest_stop=-4.0,
        period=8.0,
        tracking_probability=0.0,
        camera_speed=0.0,
        camera_zoom=0.0,
        camera_roll=0.0,
        occluder_probabilities=(0.8, 0.2),
        blur=0.03,
        noise_relative=0.01,
        noise_absolute=0.0,
        noise_white=0.0,
        patch_share=0.0,
        spots=1.6,
        corrupted_probability=0.01,
    ),
    # Does anybody walk against the stream?
    "crowd": CrowdConfig(camera_speed=0.002, camera_roll=0.001, patch_share=0.1, patch_error=0.4),
    # What happens, and when? For clips of 256 to 1,024 frames: up to three objects, each of which
    # does something, rests, and does something else.
    "behavior": BehaviorConfig(
        object_probabilities=(0.3, 0.4, 0.3),
        object_area=(0.015, 0.07),
        object_speed_spread=0.3,
        camera_speed=0.004,
        camera_zoom=0.001,
        camera_roll=0.001,
        depth_slant=0.3,
        depth_variation=0.1,
        occluder_probabilities=(0.5, 0.4, 0.1),
        patch_share=0.1,
        patch_error=0.4,
        corrupted_probability=0.01,
    ),
}
