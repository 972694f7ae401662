"""A trained network over a video of any length.

`segmenter` is what a user calls, and `loading` finds the class for a trained network. `fields`
checks the flow that comes in, `windows` runs a function on the windows of a video, `stream`
segments them, `linking` and `tracking` make labels the same along it. `motions` fits the motion
models, `latents` draws what the decoder found, `given_flow` reads flow that was computed before.
`inpainter` fills hidden flow, and `descriptors` makes vectors of motion, of `flow_of_videos`.
"""
