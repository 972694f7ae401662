"""The distributions that scenes are drawn from."""

from dataclasses import dataclass
from typing import Annotated

from jaxmotion.errors import InputError
from jaxmotion.options import Count, Meta, NotNegative, Positive, Share, check_fields
from jaxmotion.scenes.actions import SOLO

Chances = Annotated[tuple[NotNegative, ...], Meta(min_length=1, max_length=100)]


@dataclass(frozen=True)
class SceneConfig:
    """The distribution a procedural scene is drawn from.

    Lengths are fractions of the *frame size* `sqrt(height * width)` pixels, speeds are frame sizes
    per frame, inverse depths are relative to that of the background at the center of the frame, so
    one configuration means the same at every resolution.

    Attributes:
        object_probabilities: probability of 1, 2, 3, ... moving objects.
        empty_probability: probability that the objects are left out once everything is drawn. What
            remains, the camera's motion included, is what it is with them, so that nothing but the
            objects tells one scene from the other.
        object_area: least and greatest area of an object (log-uniform), as a share of the frame.
        object_speed: median speed of an object relative to the background.
        object_speed_spread: standard deviation of the logarithm of that speed.
        object_turn: speed of an object's rim due to its turning and its change of scale, relative
            to its speed.
        object_parts: greatest number of outlines (body, limbs) whose union is one object.
        nonrigid: root-mean-square speed of an object's deformation, relative to its speed.
        stop_probability: probability that an object rests for a while (as long as one `period`).
        earliest_stop: frame from which on a rest may begin, 1 at most; below 0, before the first
            frame.
        tracking_probability: probability that the camera follows the first object.
        camera_speed: median speed of the camera's own pan, added to the tracking.
        camera_translation: share of the pan that is translation, which depth turns into parallax;
            the rest is rotation, which it does not.
        camera_zoom: root-mean-square expansion rate, per frame.
        camera_roll: root-mean-square rotation about the optical axis, radians per frame.
        depth_variation: standard deviation of the smooth inverse depth of the background.
        depth_slant: greatest gradient of the inverse depth across the frame, per frame size.
        depth_roughness: standard deviation of the inverse depth's finer part, which bushes, stones
            and furniture are made of.
        water_probability: probability that a part of the background ripples, as water does.
        water_speed: median root-mean-square speed of its ripples.
        occluder_probabilities: probability of 0, 1, 2, ... static occluders (labeled background).
        occluder_depth: least and greatest inverse depth of an occluder in excess of the background.
        period: shortest period of changes of motion, frames.
        variation: changes of the pan and of the objects' velocity over time, relative to the mean.
        blur: width over which the flow passes from one side of a motion boundary to the other.
        edge_shift: standard deviation of the estimated boundary's distance from the true one.
        edge_error: error of the flow at motion boundaries, relative to the jump.
        noise_relative: standard deviation of the spatially correlated error, relative to the mean
            magnitude of the frame's flow.
        noise_absolute: part of that error which does not depend on the flow.
        noise_white: standard deviation of the uncorrelated error, in pixels.
        patch_share: share of the frame in textureless patches.
        patch_error: error of the flow within these (it rises from their rim), relative to the
            mean magnitude of the frame's flow.
        spots: mean number of spots in a frame where the estimator sees motion on a ground that
            shows none. They come and go.
        spot_radius: least and greatest radius of a spot (log-uniform).
        spot_speed: median speed in the middle of a spot.
        corrupted_probability: probability that a frame's flow is wrecked.
    """

    object_probabilities: Chances = (0.7, 0.3)
    empty_probability: Share = 0.0
    decoy_probability: Share = 0.0
    object_area: tuple[Positive, Positive] = (0.03, 0.3)
    object_speed: NotNegative = 0.015
    object_speed_spread: NotNegative = 0.6
    object_turn: NotNegative = 1.0
    object_parts: Annotated[int, Meta(ge=1, le=100)] = 3
    nonrigid: NotNegative = 0.4
    stop_probability: Share = 0.0
    earliest_stop: Annotated[float, Meta(ge=-10_000, le=1)] = 1.0
    tracking_probability: Share = 0.6
    camera_speed: NotNegative = 0.008
    camera_translation: NotNegative = 1.0
    camera_zoom: NotNegative = 0.004
    camera_roll: NotNegative = 0.003
    depth_variation: NotNegative = 0.15
    depth_slant: NotNegative = 0.6
    depth_roughness: NotNegative = 0.0
    water_probability: Share = 0.0
    water_speed: NotNegative = 0.005
    occluder_probabilities: Chances = (0.5, 0.5)
    occluder_depth: tuple[NotNegative, NotNegative] = (0.2, 0.6)
    period: Positive = 24.0
    variation: NotNegative = 0.3
    blur: NotNegative = 0.02
    edge_shift: NotNegative = 0.006
    edge_error: NotNegative = 0.2
    noise_relative: NotNegative = 0.03
    noise_absolute: NotNegative = 0.0003
    noise_white: NotNegative = 0.01
    patch_share: Annotated[float, Meta(ge=0, lt=1)] = 0.15
    patch_error: NotNegative = 0.6
    spots: NotNegative = 0.0
    spot_radius: tuple[Positive, Positive] = (0.022, 0.066)
    spot_speed: NotNegative = 7.5e-5
    corrupted_probability: Share = 0.0

    def __post_init__(self) -> None:
        check_fields(self, "SceneConfig")
        for name in ("object_probabilities", "occluder_probabilities"):
            if not sum(getattr(self, name)):
                raise InputError(f"SceneConfig.{name} {getattr(self, name)}: expected one above 0")
        for name in ("object_area", "occluder_depth", "spot_radius"):
            least, greatest = getattr(self, name)
            if least > greatest:
                raise InputError(
                    f"SceneConfig.{name} ({least}, {greatest}): expected the least and the greatest"
                )


@dataclass(frozen=True)
class CrowdConfig(SceneConfig):
    """The distribution of scenes of a crowd: people who walk one way, some of them another.

    The camera looks down on a plane, held by hand. What a `SceneConfig` says of objects, occluders
    and depth is of no meaning here. What it says of the camera's speed and roll and of errors is.

    Attributes:
        people: least and greatest number of people.
        field: width and length of the field that they walk on, meters; who leaves it on one side
            comes back on the other.
        camera_height: least and greatest height of the camera, meters.
        camera_tilt: least and greatest angle of its axis below the horizon, degrees.
        focal: least and greatest focal length, frame widths.
        walking_speed: mean and standard deviation of the speed of a person, meters per second.
        heading_noise: standard deviation of a person's heading about the common one, degrees.
        against_probability: probability that 1 to 3 people walk another way.
        against_angle: least and greatest angle between their way and that of the others, degrees.
        frame_rate: frames per second.
        label_everyone: whether all people have a label; otherwise only those who walk another way
            do. The scene is the same.
    """

    people: tuple[Count, Count] = (20, 80)
    field: tuple[Positive, Positive] = (12.0, 20.0)
    camera_height: tuple[Positive, Positive] = (3.0, 8.0)
    camera_tilt: tuple[Positive, Positive] = (10.0, 40.0)
    focal: tuple[Positive, Positive] = (0.8, 1.6)
    walking_speed: tuple[Positive, NotNegative] = (1.3, 0.2)
    heading_noise: NotNegative = 5.0
    against_probability: Share = 0.5
    against_angle: tuple[NotNegative, NotNegative] = (60.0, 180.0)
    frame_rate: Positive = 25.0
    label_everyone: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("people", "camera_height", "camera_tilt", "focal", "against_angle"):
            least, greatest = getattr(self, name)
            if least > greatest:
                raise InputError(
                    f"CrowdConfig.{name} ({least}, {greatest}): expected the least and the greatest"
                )
        if self.camera_tilt[1] > 80:
            raise InputError(f"CrowdConfig.camera_tilt {self.camera_tilt}: expected at most 80")


@dataclass(frozen=True)
class BehaviorConfig(SceneConfig):
    """The distribution of scenes in which objects do one thing after the other, resting in between.

    What a `SceneConfig` says of tracking, turning, stopping, periods and variation is of no meaning
    here.

    Attributes:
        actions: names of what an object may do by itself, of `jaxmotion.scenes.actions.SOLO`.
        actions_each: least and greatest number of actions of an object, as far as there is time;
            what is over is rest.
        action_length: least and greatest number of frames of an action.
        rest_length: least and greatest number of frames of a rest, in a scene with no time to
            spare.
        meetings: probability that two objects meet, and part again, within 256 frames.
        leaving: probability that an object that passes goes out of the frame; it comes back.
        deformation: root-mean-square speed of the waves of an object that deforms, radii per frame.
    """

    actions: tuple[str, ...] = SOLO
    actions_each: tuple[Count, Count] = (3, 12)
    action_length: tuple[Count, Count] = (20, 56)
    rest_length: tuple[Count, Count] = (14, 30)
    meetings: Share = 0.8
    leaving: Share = 0.5
    deformation: NotNegative = 0.05

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.actions or not set(self.actions) <= set(SOLO):
            raise InputError(
                f"BehaviorConfig.actions {self.actions}: expected some of {', '.join(SOLO)}"
            )
        for name in ("actions_each", "action_length", "rest_length"):
            least, greatest = getattr(self, name)
            if least > greatest:
                raise InputError(
                    f"BehaviorConfig.{name} ({least}, {greatest}): expected the least and the "
                    "greatest"
                )
