"""What devices that share the frames of clips exchange, read from the compiled training step."""

import json
from pathlib import Path

import hlo
import pytest

pytestmark = pytest.mark.sharding

PROGRAM = Path(__file__).with_name("train_sharded.py")
DEVICES, BATCH, FRAMES, HEIGHT, WIDTH = 8, 2, 128, 128, 192
STEM, WIDTHS = 2, (4, 8)


def check(found: list[hlo.Collective], masks: int) -> None:
    """Neighbors exchange a frame; all else is small sums, statistics or parameters.

    A collective-permute may move one frame of the widest volume at most, and any other collective
    half the part that a device has of the smallest volume, so that none moves a volume.
    """
    inner = (HEIGHT // STEM) * (WIDTH // STEM)
    frames = {
        "flow, with its neighbors": HEIGHT * WIDTH * 3,
        "masks": HEIGHT * WIDTH * masks,
        "finest features, skip and upsampled": inner * 2 * WIDTHS[0],
    }
    volumes = {
        "valid": HEIGHT * WIDTH,
        "bottleneck": inner // 4 * WIDTHS[-1],
    }
    frame = 4 * BATCH * max(frames.values())
    part = 4 * BATCH * FRAMES // DEVICES * min(volumes.values())
    assert frame < part
    for collective in found:
        bound = frame if collective.kind == "collective-permute" else part / 2
        assert collective.bytes <= bound, collective


def case(method: str, mesh: list[int]) -> str:
    return json.dumps(
        {
            "method": method,
            "frames": FRAMES,
            "batch": BATCH,
            "size": [HEIGHT, WIDTH],
            "widths": WIDTHS,
            "meshes": [mesh],
        }
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "masks", "mesh"),
    [
        ("em", 2, [1, DEVICES]),
        ("st_ms", 4, [1, DEVICES]),
        ("lt_ms", 4, [1, DEVICES]),
        ("lt_ms_sa", 4, [1, DEVICES]),
        ("st_ms", 4, [2, DEVICES // 2]),
        ("lt_ms", 4, [2, DEVICES // 2]),
    ],
)
def test_no_layer_gathers_the_volume(on_eight_devices, method, masks, mesh):
    found = hlo.collectives(on_eight_devices(PROGRAM, "hlo", case(method, mesh)))
    kinds = {collective.kind for collective in found}
    assert "all-reduce" in kinds
    assert ("collective-permute" in kinds) == (method != "em")
    check(found, masks)


@pytest.mark.slow
def test_attention_exchanges_the_cells_of_the_bottleneck_alone(on_eight_devices):
    """Each frame looks at all, so that keys, values and their gradients go round; nothing finer."""
    attention = {"attention": {"layers": 1, "heads": 2, "gate": True}}
    text = on_eight_devices(
        PROGRAM, "hlo", json.dumps(json.loads(case("st_ms", [1, DEVICES])) | attention)
    )
    inside, others = [], []
    for collective in hlo.collectives(text):
        (inside if "/middle" in collective.origin else others).append(collective)
    cells = (HEIGHT // STEM) * (WIDTH // STEM) // 4
    bottleneck = 4 * BATCH * FRAMES * cells * WIDTHS[-1]
    assert inside
    # Keys and values, or their gradients, may go round together.
    assert max(collective.bytes for collective in inside) <= 2 * bottleneck
    check(others, 4)


@pytest.mark.slow
@pytest.mark.parametrize(("method", "frames"), [("em", 1), ("st_ms", 3), ("lt_ms", 9)])
def test_devices_that_have_clips_of_their_own_exchange_gradients_alone(
    on_eight_devices, method, frames
):
    augment = {"flip_horizontal": 0.5, "corruption_probability": 0.5, "still_share": 0.5}
    if frames == 1:
        augment = {"flip_horizontal": 0.5}
    case = {"method": method, "frames": frames, "batch": DEVICES, "meshes": [[DEVICES, 1]]}
    text = on_eight_devices(PROGRAM, "hlo", json.dumps(case | {"augment": augment}))
    assert {collective.kind for collective in hlo.collectives(text)} == {"all-reduce"}


GATHER = """
import jax, jax.numpy as jnp
from jax.sharding import AxisType, NamedSharding, PartitionSpec
mesh = jax.make_mesh((1, 8), ("data", "time"), axis_types=(AxisType.Auto,) * 2)
clips = NamedSharding(mesh, PartitionSpec("data", "time"))
volume = jax.ShapeDtypeStruct(({batch}, {frames}, {height}, {width}), jnp.float32, sharding=clips)
print(jax.jit(lambda x: {function}).lower(volume).compile().as_text())
"""


@pytest.mark.parametrize(
    "function",
    [
        "jnp.median(x, axis=(1, 2, 3))",  # sorts the clip
        "jax.lax.with_sharding_constraint(x, NamedSharding(mesh, PartitionSpec()))",
        "x.reshape(-1, 128, 192)[::-1].reshape(x.shape)",  # clips and frames as one axis
    ],
)
def test_a_gather_is_found(on_eight_devices, function):
    text = on_eight_devices(
        GATHER.format(batch=BATCH, frames=FRAMES, height=HEIGHT, width=WIDTH, function=function)
    )
    with pytest.raises(AssertionError):
        check(hlo.collectives(text), 4)


LOOP = """
import jax, jax.numpy as jnp
def program(x, n):
    return jax.lax.fori_loop(0, n, lambda i, y: jnp.tanh(y @ x), x)
x = jax.ShapeDtypeStruct((64, 64), jnp.float32)
for n in (1, 5):
    compiled = jax.jit(program, static_argnums=1).lower(x, n).compile()
    print(compiled.as_text())
    print("flops", compiled.cost_analysis()["flops"])
"""


def test_loops_count_as_often_as_they_run(on_eight_devices):
    once, five = on_eight_devices(LOOP).split("HloModule ")[1:]
    products = 2 * 64**3
    assert hlo.work(once).products == products
    assert hlo.work(five).products == 5 * products
    xla = float(once.split("flops")[1])
    assert products <= xla < 1.1 * products
