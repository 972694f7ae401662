"""A trained network over a video of any length.

`windows` runs a function on the windows of a video, `linking` and `tracking` make labels the same
along it, `segmenter` is what a user calls, `latents` draws what the decoder found, `given_flow`
reads flow that was computed before, and `video` is the whole way from a video to its results.
"""
