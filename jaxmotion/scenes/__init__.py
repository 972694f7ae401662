"""Procedural optical-flow scenes with ground truth, drawn while training.

`config.py` holds the knobs, `levels.py` their named settings, `camera.py` the camera's motion and
the flow of the background's depth under it, `layers.py` outlines and how they move and deform,
`occluders.py` static things, `water.py` what ripples without being an object, `flow_noise.py` what
a flow estimator gets wrong, `crowd.py` people on a plane, `actions.py` and `behavior.py` objects
that do one thing after the other, `events.py` what happens and when, and `generator.py` draws all
of these and renders the clip.
`aerial.py` draws frames with their flow, small vehicles seen from above, over the pictures of
`grounds.py`.
Everything is numpy and a function of the seed.
"""

from jaxmotion.scenes.actions import ACTIONS
from jaxmotion.scenes.config import BehaviorConfig, CrowdConfig, SceneConfig
from jaxmotion.scenes.events import SceneEvent
from jaxmotion.scenes.generator import Scene, generate
from jaxmotion.scenes.levels import LEVELS

__all__ = [
    "ACTIONS",
    "LEVELS",
    "BehaviorConfig",
    "CrowdConfig",
    "Scene",
    "SceneConfig",
    "SceneEvent",
    "generate",
]
