"""What attention over space and time gains, at the same number of parameters, and what it costs.

    python benchmarks/attention.py scores --with RUN RUN RUN --without RUN RUN RUN
    python benchmarks/attention.py step

`scores` compares runs with attention and without on scenes that no run trains on (hard and long in
turn, 12 frames of 64×112), each clip in one go. Printed are mean and standard deviation over the
runs of each list:

- IoU: mean over frames; at rest, in frames whose objects move as the scene does; after occlusion,
  in frames in which an object is back that was hidden in one of the 4 frames before, and seen
  before that (strata of `jaxmotion.evaluation.strata`). A frame without an object counts in none.
- AUC of frames: how surely a clean frame weighs more than a wrecked one of its clip; mean over the
  clips that have both.
- AUC of regions: how surely a region with foreground weighs more than one without; over all clips.

The lists are comparable if their numbers of parameters are. These two differ by 2 %:

    python train.py foreground --seed 0 --workdir runs/with_0
    python train.py foreground --seed 0 --workdir runs/without_0 \
        --network.widths 17 34 68 136 --network.attention.layers 0 --network.attention.no-gate

`step` prints the milliseconds of a training step of both, of batches of two such clips.
"""

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Annotated, Literal

import jax
import jax.numpy as jnp
import numpy as np
import tyro
from scipy.stats import rankdata

from jaxmotion.configs import get_config
from jaxmotion.errors import InputError
from jaxmotion.evaluation.strata import find_strata
from jaxmotion.experiments.scenes import TEST_SEED
from jaxmotion.inference.segmenter import Segmenter
from jaxmotion.metrics.davis import jaccard
from jaxmotion.metrics.foreground import select_foreground
from jaxmotion.networks.config import AttentionConfig
from jaxmotion.scenes import LEVELS, Scene, generate
from jaxmotion.tasks.foreground_config import ForegroundConfig
from jaxmotion.training.compilation_cache import enable_compilation_cache
from jaxmotion.training.step import init_state, make_train_step

TAKING_TURNS = ("hard", "long")
AFTER = 4  # frames
TWIN_WIDTHS = (17, 34, 68, 136)
MOST_APART = 0.05


@dataclass(frozen=True)
class Options:
    """Measures attention.

    Attributes:
        what: what to measure.
        attended: runs with attention.
        plain: runs without.
        scenes: number of scenes.
        shape: frames, rows and columns of a scene; the size is that of the runs' training.
        steps: number of steps that are timed.
    """

    what: tyro.conf.Positional[Literal["scores", "step"]]
    attended: Annotated[tuple[str, ...], tyro.conf.arg(name="with")] = ()
    plain: Annotated[tuple[str, ...], tyro.conf.arg(name="without")] = ()
    scenes: int = 200
    shape: tuple[int, int, int] = (12, 64, 112)
    steps: int = 20


@dataclass(frozen=True)
class Test:
    """A scene, and the frames of it that a row of the table is about."""

    scene: Scene
    frames: dict[str, np.ndarray]


def draw_tests(count: int, shape: tuple[int, int, int]) -> Iterator[Test]:
    """Draws the scenes on which runs are compared: those of `--evals.scenes hard+long`."""
    for number in range(count):
        level = LEVELS[TAKING_TURNS[number % 2]]
        scene = generate(level, *shape, seed=TEST_SEED * 2**32 + number)
        strata = find_strata(scene.labels, np.arange(shape[0]), scene.flow)
        yield Test(
            scene,
            {
                "IoU": np.ones(shape[0], bool),
                "IoU at rest": np.array(strata["at rest"]),
                "IoU after occlusion": after_occlusion(scene.labels),
            },
        )


def after_occlusion(labels: np.ndarray) -> np.ndarray:
    """Frames `[T]` in which an object is back that was seen before, and hidden in between."""
    back = np.zeros(len(labels), bool)
    for label in range(1, labels.max() + 1):
        inside = labels == label
        hidden = np.array(find_strata(inside, np.arange(len(labels)), None)["occluded"])
        shown = inside.any(axis=(1, 2)) & ~hidden
        lost = hidden & np.maximum.accumulate(shown)
        for reach in range(1, AFTER + 1):
            back[reach:] |= lost[:-reach] & shown[reach:]
    return back


def auc(high: np.ndarray, low: np.ndarray) -> float:
    """How surely a value of the first is above one of the second; equal ones count half."""
    ranks = rankdata(np.concatenate([high, low]))
    excess = ranks[: len(high)].sum() - len(high) * (len(high) + 1) / 2
    return float(excess / (len(high) * len(low)))


def score(segmenter: Segmenter, tests: list[Test]) -> dict[str, float]:
    """The rows of the table for a network; those of weights only where it has a gate."""
    found: dict[str, list[np.ndarray]] = {name: [] for name in tests[0].frames}
    frames, by_content = [], ([], [])
    side = segmenter.task.network.reduction
    for test in tests:
        flow, truth = test.scene.flow, test.scene.labels > 0
        output = segmenter.describe(flow)
        labels = np.asarray(output.logits).argmax(axis=-1)
        chosen = select_foreground(labels, truth, segmenter.select or "except_largest")
        iou, shown = jaccard(truth, chosen), truth.any(axis=(1, 2))
        for name, inside in test.frames.items():
            found[name].append(iou[inside & shown])
        if output.attention is None:
            continue
        weights, wrecked = np.asarray(output.attention.frames), test.scene.corrupted
        if wrecked.any() and not wrecked.all():
            frames.append(auc(weights[~wrecked], weights[wrecked]))
        regions = np.asarray(output.attention.regions)
        holds = with_foreground(truth, side, regions.shape)
        for kind, values in zip((holds, ~holds), by_content, strict=True):
            values.append(regions[kind])
    scores = {name: mean(np.concatenate(values)) for name, values in found.items()}
    if frames:
        scores["AUC of frames"] = float(np.mean(frames))
        scores["AUC of regions"] = auc(*(np.concatenate(values) for values in by_content))
    return scores


def mean(values: np.ndarray) -> float:
    """The mean, NaN of nothing."""
    return float(values.mean()) if len(values) else float("nan")


def with_foreground(truth: np.ndarray, side: int, shape: tuple[int, ...]) -> np.ndarray:
    """Which regions, of so many pixels a side, hold some foreground: bool of that shape."""
    beyond = [(0, side * cells - size) for cells, size in zip(shape, truth.shape, strict=True)]
    padded = np.pad(truth, [(0, 0), *beyond[1:]])
    cells = padded.reshape(shape[0], shape[1], side, shape[2], side)
    return np.any(cells, axis=(2, 4), keepdims=True)[:, :, 0, :, 0]


def print_scores(options: Options) -> None:
    """Prints a line for each measure: both lists, and the difference of their means."""
    tests = list(draw_tests(options.scenes, options.shape))
    counts = {name: sum(int(t.frames[name].sum()) for t in tests) for name in tests[0].frames}
    lists = {"with": options.attended, "without": options.plain}
    sizes, scores, compiled = {}, {}, {}
    for kind, runs in lists.items():
        sizes[kind], scores[kind] = [], []
        for run in runs:
            loaded = load(run, options.shape)
            # The same program for all seeds.
            segmenter = compiled.setdefault(loaded.task, loaded)
            segmenter.params = loaded.params
            sizes[kind].append(num_parameters(segmenter.params))
            scores[kind].append(score(segmenter, tests))
            words = ", ".join(f"{name} {value:.3f}" for name, value in scores[kind][-1].items())
            print(f"{kind:8s} {run}: {sizes[kind][-1]} parameters; {words}", flush=True)
    print(f"\n{len(tests)} scenes {options.shape}; frames: {counts}")
    if not all(lists.values()):
        return
    means = {kind: float(np.mean(values)) for kind, values in sizes.items()}
    apart = means["without"] / means["with"] - 1
    print(f"parameters without attention: {apart:+.1%}")
    if abs(apart) > MOST_APART:
        print(f"more than {MOST_APART:.0%} apart: the lists are not comparable")
    print(f"{'':20s} {'with':>15s} {'without':>15s} {'difference':>10s}")
    for name in scores["with"][0]:
        values = {kind: [s[name] for s in rows if name in s] for kind, rows in scores.items()}
        cells = [f"{np.mean(v):7.3f} ± {np.std(v):.3f}" if v else "–" for v in values.values()]
        gain = [np.mean(v) for v in values.values() if v]
        words = f"{gain[0] - gain[1]:+10.3f}" if len(gain) == 2 else ""
        print(f"{name:20s} {cells[0]:>15s} {cells[1]:>15s} {words}")


def load(run: str, shape: tuple[int, int, int]) -> Segmenter:
    """Loads a run that sees scenes of that shape as they are."""
    segmenter = Segmenter.load(run)
    if segmenter.working_size(*shape[1:]) != shape[1:]:
        raise InputError(f"{run}: trained on another size than --shape {shape}")
    return segmenter


def num_parameters(params) -> int:
    """Number of parameters of a network."""
    return sum(leaf.size for leaf in jax.tree.leaves(params))


def print_steps(options: Options) -> None:
    """Prints the time of a training step with attention and without."""
    config = get_config("foreground")
    assert isinstance(config.task, ForegroundConfig)
    twin = replace(config.task.network, widths=TWIN_WIDTHS, attention=AttentionConfig())
    count, data = config.batch_size, replace(config.data, clip_length=options.shape[0])
    scenes = [generate(LEVELS["hard"], *options.shape, seed=seed) for seed in range(count)]
    flow, labels = (jnp.stack([getattr(s, name) for s in scenes]) for name in ("flow", "labels"))
    batch = {"flow": flow, "valid": jnp.ones(flow.shape[:-1]), "labels": labels}
    words = []
    for kind, network in (("with", config.task.network), ("without", twin)):
        task = replace(config.task, network=network).build(data)
        state = jax.jit(lambda b, task=task: init_state(task, config.optimizer, b, 0))(batch)
        size = num_parameters(state.params)
        step = make_train_step(task, config.optimizer, config.steps, 0)
        seconds = timed(jax.jit(step, donate_argnums=0), state, batch, options.steps)
        words.append(f"{kind} attention {1e3 * seconds:.0f} ms a step ({size} parameters)")
    print(
        f"{', '.join(words)}; {count} clips {options.shape}, median of {options.steps} steps on "
        f"{jax.default_backend()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    )


def timed(step: Callable, state, batch, count: int) -> float:
    """Median seconds of a step, after one that compiles."""
    seconds = []
    for _ in range(count + 1):
        start = time.perf_counter()
        state, metrics = step(state, batch)
        jax.block_until_ready(metrics)
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds[1:]))


def main(options: Options) -> None:
    """Prints what was asked for."""
    enable_compilation_cache()
    {"scores": print_scores, "step": print_steps}[options.what](options)


if __name__ == "__main__":
    main(tyro.cli(Options))
