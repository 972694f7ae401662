"""A trained network as a program that runs without this package: StableHLO, by `jax.export`.

The parameters are in the program. It is for clips of any number and length, of one size, and for
CPU, TPU and CUDA alike. Whoever calls it needs JAX (and `flatbuffers`, to read it) alone.

References:
    https://docs.jax.dev/en/latest/export/export.html
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from jax import export

from jaxmotion.errors import InputError
from jaxmotion.files import atomic_path
from jaxmotion.models.trained import Trained
from jaxmotion.tasks.fields import axes_of

PLATFORMS = ("cpu", "tpu", "cuda")

_NOTE = """\
# {name}

A {kind} network as one StableHLO program, for JAX on {platforms}.
It was made by jaxmotion {version}; to call it, jaxmotion is not needed.

    pip install "jax>={jax}" flatbuffers

```python
from jax import export

with open("{name}", "rb") as file:
    program = export.deserialize(bytearray(file.read()))
outputs = program.call(inputs)  # inputs and outputs are dictionaries of arrays
```

Inputs, all float32 (b: number of clips, t: frames of a clip, any from 1 on):

{inputs}

Outputs:

{outputs}
"""

_MEANINGS = {
    "flow": "optical flow, pixels per frame; u to the right, v down; 0 where it is not known",
    "valid": "1 where the flow is known, 0 elsewhere; frames of 0 at the end are padding",
    "masks": "probability of each segment, which sum to 1 over the last axis",
}


def export_program(
    trained: Trained, path: str | os.PathLike, size: tuple[int, int] | None = None
) -> export.Exported:
    """Writes the predictions of a trained network as one program, with a note how to call it.

    Args:
        trained: the trained network.
        path: file to write, ``NAME.stablehlo``; the note is written beside it, as ``NAME.md``.
        size: `(height, width)` of the clips; that of training if not given.

    Returns:
        The program.

    Raises:
        InputError: where the file cannot be written, or the task makes no predictions.
    """
    path = Path(path)
    if path.suffix != ".stablehlo":
        raise InputError(f"{path}: expected the name of a file, NAME.stablehlo")
    program = symbolic_program(trained, size)
    with atomic_path(path, durable=True) as temporary:
        temporary.write_bytes(program.serialize())
    with atomic_path(path.with_suffix(".md")) as temporary:
        temporary.write_text(_note(path.name, trained, program))
    return program


def symbolic_program(trained: Trained, size: tuple[int, int] | None = None) -> export.Exported:
    """The predictions of a trained network, for clips of any number and length.

    Args:
        trained: the trained network.
        size: `(height, width)` of the clips; that of training if not given.

    Raises:
        InputError: where the task makes no predictions.
    """
    data = trained.config.data
    height, width = size or (data.height, data.width)
    task = trained.config.task.build(data)
    scope = export.SymbolicScope()
    sizes = {"B": "b", "T": "t", "H": str(height), "W": str(width)}
    batch = {}
    for name, axes in axes_of(task.spec).items():
        words = ", ".join(sizes.get(axis, axis) for axis in axes)
        shape = export.symbolic_shape(words, scope=scope)
        batch[name] = jax.ShapeDtypeStruct(shape, jnp.float32)
    variables = jax.device_get(trained.variables)

    def predict(batch: Mapping[str, jax.Array]) -> dict[str, jax.Array]:
        return dict(task.predict(variables, batch))

    try:
        return export.export(jax.jit(predict), platforms=PLATFORMS)(batch)
    except NotImplementedError as error:
        raise InputError(f"a network trained for {trained.config.task.kind}: {error}") from error


def _note(name: str, trained: Trained, program: export.Exported) -> str:
    import jaxmotion

    inputs, outputs = (
        jax.tree.unflatten(tree, avals)
        for tree, avals in (
            (program.in_tree, program.in_avals),
            (program.out_tree, program.out_avals),
        )
    )
    return _NOTE.format(
        name=name,
        kind=trained.config.task.kind,
        platforms=", ".join(PLATFORMS),
        version=jaxmotion.__version__,
        jax=jax.__version__,
        inputs=_listed(inputs[0][0]),
        outputs=_listed(outputs),
    )


def _listed(arrays: Mapping[str, Any]) -> str:
    return "\n".join(
        f"- `{name}` `[{', '.join(map(str, array.shape))}]`"
        + (f": {_MEANINGS[name]}" if name in _MEANINGS else "")
        for name, array in arrays.items()
    )
