"""Training: any task, resumable, on one device or many.

`config` is an experiment as frozen dataclasses. `optimizer` says how parameters move; `step` is
the state and the pure step, `program` its compiled form, `loop` the loop around it. `shardings`
says which device holds what and `distributed` makes several processes one; `checkpoints` (to
resume), `kept` (what is best) and `metrics` are what a run leaves behind, `storage` is what Orbax
is told of them, and `outbox` brings a log into an object store. What a task is says
`jaxmotion.tasks`; `jaxmotion.experiments` puts data, task and training together.
"""
