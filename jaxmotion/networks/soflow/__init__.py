"""SoFlow: optical flow of small objects, by a local correlation at half the size of the frames.

`network` is RAFT's scheme with other parts: `correlation` compares each pixel with those around its
place only, features are not reduced further, and the flow starts where the correlation is highest.
Update and convex upsampling are RAFT's. `config` names its sizes.
"""

from jaxmotion.networks.soflow.config import SoFlowConfig

__all__ = ["SoFlowConfig"]
