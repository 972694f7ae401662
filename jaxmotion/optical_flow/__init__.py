"""Video to flow: the estimators, the file formats of flow, and flow as colour.

`formats` reads and writes `.flo`, KITTI PNG and `.npz`; `colors` renders flow and labels;
`estimators` turns two frames, or a stream of them, into flow; `folders` does it for a whole video.
"""

from jaxmotion.optical_flow.colors import color_labels, color_wheel, flow_to_color, label_palette
from jaxmotion.optical_flow.estimators import (
    DIS,
    ESTIMATORS,
    Estimator,
    estimate_sequence,
    make_estimator,
)
from jaxmotion.optical_flow.folders import FlowFolderReport, write_flow_folder
from jaxmotion.optical_flow.formats import (
    flo_files,
    flo_size,
    known_vectors,
    read_flo,
    read_flow,
    read_flow_and_valid,
    read_flow_npz,
    read_flow_sequence,
    read_kitti_png,
    write_flo,
    write_flow_npz,
    write_kitti_png,
)

__all__ = [
    "DIS",
    "ESTIMATORS",
    "Estimator",
    "FlowFolderReport",
    "color_labels",
    "color_wheel",
    "estimate_sequence",
    "flo_files",
    "flo_size",
    "flow_to_color",
    "known_vectors",
    "label_palette",
    "make_estimator",
    "read_flo",
    "read_flow",
    "read_flow_and_valid",
    "read_flow_npz",
    "read_flow_sequence",
    "read_kitti_png",
    "write_flo",
    "write_flow_folder",
    "write_flow_npz",
    "write_kitti_png",
]
