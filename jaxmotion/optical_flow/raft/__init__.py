"""RAFT, optical flow by iterated lookup in correlations, in Flax; with its published weights.

`network` is the large and the small network, made of `encoder`, `correlation` (all pairs, or on
demand for large frames), `update` and `upsampling`. `weights` fills it from a file that `tensors`
reads (`.pth`, `.npz`, `.safetensors`; PyTorch's by `torch_files`, which runs no code of theirs).
`estimator` is what `make_estimator` makes of it.
"""
