"""Training: any task, resumable, on one device or many.

`config` is an experiment as frozen dataclasses and `experiment` runs one. `task` is what the
trainer asks of a method and `segmentation` the task of motion segmentation. `step` is the state
and the pure step, `program` its compiled form, `loop` the loop around it; `shardings` says which
device holds what and `distributed` makes several processes one; `checkpoints`, `metrics` and
`pictures` are what a run leaves behind. `trained` reads a network that is trained, `model_files` is
one as a single file.
"""
