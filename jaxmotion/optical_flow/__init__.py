"""Video to flow: the estimators, the file formats of flow, and flow as color.

`formats` reads and writes `.flo` and `.npz`, `kitti` KITTI's PNG, `pfm` reads `.pfm`, `npz`
archives of unknown origin; `fields` finds and reads those of a whole video. `arrays` says what they
take for flow, and which vectors are known.
`colors` renders flow and labels; `estimators` turns two frames, or many, into flow; `raft` and
`soflow` are two of them, networks; `enlarged` shows them larger frames, `refinement` and `planar`
better what they give. `quality` judges flow without ground
truth. `folders` does it all for a whole video, which `stores` keep as it comes; `origin` says what
made a flow, `notes` of which frames it is, `quality_file` how good it is.
"""

from jaxmotion.optical_flow.arrays import known_flow, known_vectors
from jaxmotion.optical_flow.colors import color_labels, color_wheel, flow_to_color, label_palette
from jaxmotion.optical_flow.enlarged import Enlarged, enlarged
from jaxmotion.optical_flow.estimators import (
    DIS,
    ESTIMATORS,
    Estimator,
    estimate_sequence,
    make_estimator,
)
from jaxmotion.optical_flow.fields import flow_files, read_flow_sequence
from jaxmotion.optical_flow.folders import FlowFolderReport, write_flow_folder
from jaxmotion.optical_flow.formats import (
    flo_size,
    read_flo,
    read_flow_and_valid,
    read_flow_npz,
    write_flo,
    write_flow_npz,
)
from jaxmotion.optical_flow.kitti import read_kitti_png, write_kitti_png
from jaxmotion.optical_flow.origin import FlowOrigin, read_flow_origin
from jaxmotion.optical_flow.pfm import read_pfm, read_pfm_flow
from jaxmotion.optical_flow.planar import Planar
from jaxmotion.optical_flow.quality import FlowQuality, consistency, flow_quality, warp
from jaxmotion.optical_flow.refinement import (
    FLOW_STRENGTH,
    SMALL_STRENGTH,
    Refined,
    estimator_for_masks,
)

__all__ = [
    "DIS",
    "ESTIMATORS",
    "Enlarged",
    "FLOW_STRENGTH",
    "SMALL_STRENGTH",
    "Estimator",
    "FlowFolderReport",
    "FlowOrigin",
    "FlowQuality",
    "Planar",
    "Refined",
    "color_labels",
    "color_wheel",
    "consistency",
    "enlarged",
    "estimate_sequence",
    "estimator_for_masks",
    "flo_size",
    "flow_files",
    "flow_quality",
    "flow_to_color",
    "known_flow",
    "known_vectors",
    "label_palette",
    "make_estimator",
    "read_flo",
    "read_flow_and_valid",
    "read_flow_npz",
    "read_flow_origin",
    "read_flow_sequence",
    "read_kitti_png",
    "read_pfm",
    "read_pfm_flow",
    "warp",
    "write_flo",
    "write_flow_folder",
    "write_flow_npz",
    "write_kitti_png",
]
