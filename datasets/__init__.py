"""TFDS builders, one folder a data set; installed as `jaxmotion_datasets`.

Importing a data set's folder registers its builder: after `import jaxmotion_datasets.flow_scenes`,
`tfds.data_source("flow_scenes/default", ...)` finds it. None of them needs TensorFlow.
"""
