"""Whole experiments: data, task, training and evaluation put together.

`experiment` runs one configuration, `seeds` several seeds of it, `scenes` scores what was trained
on scenes it has not seen.
"""
