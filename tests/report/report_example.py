"""A small made-up evaluation with its pictures: two methods, a baseline, a publication."""

from dataclasses import replace

import numpy as np

from jaxmotion.evaluation.results import (
    Dataset,
    Difference,
    Evaluation,
    Published,
    Run,
)
from jaxmotion.evaluation.score import Cut, ObjectScores, SequenceScores
from jaxmotion.report.layers import write_layers

SIZE, FRAMES, NUM_LABELS, CUT = (60, 100), 12, 3, 5
HOSTILE = "<script>window.hacked=1</script>"
HOSTILE_METHOD = '"><img src=x onerror="window.hacked=1"> & __proto__'
SEQUENCES = ("dog", HOSTILE, "Car 10", "car 9")


def truth(s):
    """uint8 [T, H, W]: a box that moves to the right, the lower the later the sequence."""
    masks = np.zeros((FRAMES, *SIZE), np.uint8)
    for t in range(FRAMES):
        masks[t, 10 + 4 * s : 40 + 4 * s, 10 + 3 * t : 40 + 3 * t] = 1
    return masks


def segments(s, method):
    """Labels of a network that is the worse, the later the sequence and the method."""
    labels = np.roll(truth(s), 2 * s + 5 * method, axis=2)
    labels[:, 50:, :30] = 2
    return labels


def flow(s):
    moving = truth(s)[..., None].astype(np.float32)
    return moving * np.float32([3, 0]) + (1 - moving) * np.float32([0, -1])


def frame(t):
    picture = np.zeros((*SIZE, 3), np.uint8)
    picture[...] = (20 * t, 100, 200)
    return picture


def scores_of(s, method, pictures):
    rng = np.random.default_rng((s, method))
    j = np.clip(0.9 - 0.15 * s - 0.1 * method + rng.normal(0, 0.05, FRAMES), 0, 1)
    return SequenceScores(
        name=SEQUENCES[s],
        num_frames=FRAMES,
        num_labels=NUM_LABELS,
        frames=tuple(range(FRAMES)),
        frame_names=tuple(f"{t:05d}" for t in range(FRAMES)),
        objects=(ObjectScores("foreground", {"J": tuple(j), "F": tuple(j**2)}),),
        cuts=tuple(Cut(t, min(t + CUT, FRAMES), (1,)) for t in range(0, FRAMES, CUT)),
        pictures=pictures,
    )


def write_example(folder, include_frames=False):
    """Writes the pictures of the example into a folder and returns its evaluation."""
    runs = []
    for method, (name, count) in enumerate((("lt_ms", 4), (HOSTILE_METHOD, 3))):
        rows = []
        for s in range(count):
            path = f"pictures/made/sequence_{s}/method_{method}"
            rows.append(scores_of(s, method, path))
            labels = segments(s, method)
            read_frame = frame if include_frames else None
            write_layers(
                folder / path, rows[-1], flow(s), labels, labels == 1, truth(s), read_frame
            )
        runs.append(Run(name, "checkpoint", f"runs/{name}", tuple(rows), (), SEQUENCES[count:]))
    baseline = tuple(scores_of(s, 3, None) for s in range(4))
    runs.append(Run("otsu", "baseline", "", baseline))
    published = Published(
        method="LT-MS",
        source="a thesis",
        means={"J_mean": 0.7, "F_mean": 0.6},
        sequences={name: {"J_mean": 0.5, "F_mean": 0.4} for name in ("dog", "car_9", "elsewhere")},
    )
    of_the_whole = Published("RCF", "another thesis", {"J_mean": 0.8}, {})
    of_others = Published("NIMS", "a paper", {"J_mean": 0.6}, {"elsewhere": {"J_mean": 0.6}})
    difference = Difference(
        method="lt_ms",
        other="LT-MS",
        published=True,
        statistic="J_mean",
        sequences={"dog": 0.4, "car 9": -0.1},
        mean=0.15,
        low=-0.1,
        high=0.4,
    )
    made = Dataset(
        name="made",
        root="data/made",
        flow="exact",
        protocol={"name": "davis2016", "select": "best_subset", "cut": CUT},
        average="sequence",
        measures=("J", "F"),
        sequences=SEQUENCES,
        runs=tuple(runs),
        published=(published, of_the_whole, of_others),
        differences=(difference,),
    )
    whole = replace(made, name="whole", protocol={**made.protocol, "cut": 0}, runs=(runs[0],))
    return Evaluation((made, replace(whole, published=(), differences=())))
