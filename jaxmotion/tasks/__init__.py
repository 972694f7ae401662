"""Tasks: what the trainer asks of a method (`task`), and one module for each method.

`segmentation` is motion segmentation (EM, ST-MS, LT-MS); `pictures` draws what a task predicts.
"""
