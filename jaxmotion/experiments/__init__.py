"""Whole experiments: data, task, training and evaluation put together.

`experiment` runs one configuration and `seeds` several seeds of it; `folder` says whether a folder
may be trained in. `evals` scores what was trained, `scenes` on scenes that no run trains on.
"""
