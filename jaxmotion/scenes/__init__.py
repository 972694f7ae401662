"""Procedural optical-flow scenes with ground truth, drawn while training.

`config.py` holds the knobs and the named levels, `camera.py` the camera's motion and the flow of
the background's depth under it, `layers.py` outlines and how they move and deform, `water.py` what
ripples without being an object, `flow_noise.py` what a flow estimator gets wrong, `crowd.py` people
on a plane, and `generator.py` draws all of these and renders the clip.
`aerial.py` draws frames with their flow, small vehicles seen from above, over the pictures of
`grounds.py`.
Everything is numpy and a function of the seed.
"""

from jaxmotion.scenes.config import LEVELS, CrowdConfig, SceneConfig
from jaxmotion.scenes.generator import Scene, generate

__all__ = ["LEVELS", "CrowdConfig", "Scene", "SceneConfig", "generate"]
