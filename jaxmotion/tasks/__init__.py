"""Tasks: what the trainer asks of a method (`task`), and one module for each method.

`segmentation` is motion segmentation (EM, ST-MS, LT-MS). `observation` prepares what a network and
its loss are given of a clip; `pictures` draws what a task predicts.
"""
