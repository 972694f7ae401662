import json

import numpy as np
import pytest
from made_up_davis import run_eval, write_davis

from jaxmotion.evaluation.groups import by_attributes, by_strata, davis_attributes
from jaxmotion.evaluation.results import Dataset, Run
from jaxmotion.evaluation.score import ObjectScores, SequenceScores
from jaxmotion.evaluation.strata import STRATA, find_strata, recovery

HEIGHT, WIDTH = 24, 40
FRAMES = np.arange(12)


def disk(x, y=12, radius=5):
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    return (np.hypot(rows - y, columns - x) < radius).astype(np.uint8)


def in_stratum(name, labels, flow=None, valid=None):
    found = find_strata(np.stack(labels), np.arange(len(labels)), flow, valid)
    assert list(found) == [n for n in STRATA if n in found]
    return np.flatnonzero(found[name]).tolist()


def scene_flow(labels, motion, camera=(1.0, 0.5)):
    """The camera moves as `camera` says, frame by frame, and the object by `motion` more."""
    camera = np.broadcast_to(camera, (len(labels), 2))
    flow = np.broadcast_to(camera[:, None, None], (len(labels), HEIGHT, WIDTH, 2)).copy()
    return (flow + np.stack(labels)[..., None] * motion).astype(np.float32)


def test_an_object_is_occluded_where_little_of_it_is_left_inside_of_the_frame():
    labels = [disk(20)] * 12
    labels[5] = disk(20, radius=2)
    labels[6] = np.zeros_like(labels[0])
    assert in_stratum("occluded", labels) == [5, 6]
    labels[5] = disk(39, radius=3)  # it leaves the frame
    assert in_stratum("occluded", labels) == [6]


def test_an_object_is_fast_by_the_way_of_its_center():
    labels = [disk(8 + 0.5 * t) for t in range(12)]
    labels[7:] = [disk(20 + 0.5 * t) for t in range(7, 12)]
    assert in_stratum("fast", labels) == [7]
    # Frames that are not annotated make the way longer, not the object faster.
    sparse = find_strata(np.stack(labels), 20 * FRAMES, None)
    assert not any(sparse["fast"])


def test_several_objects_are_labels_that_a_frame_shows():
    labels = [disk(10)] * 3 + [disk(10) + 2 * disk(30)] * 2
    assert in_stratum("several objects", labels) == [3, 4]


@pytest.mark.parametrize("camera", [(0.0, 0.0), (3.0, -2.0)])
def test_an_object_rests_where_it_moves_with_the_scene(camera):
    labels = [disk(20)] * 6
    flow = scene_flow(labels, (2.0, 0.0), camera)
    flow[2:4] = scene_flow(labels, (0.2, 0.0), camera)[2:4]
    assert in_stratum("at rest", labels, flow) == [2, 3]


def test_a_camera_shakes_where_the_motion_of_the_scene_jumps():
    labels = [disk(20)] * 8
    camera = np.tile([1.0, 0.0], (8, 1))
    camera[4] = [-1.0, 0.5]
    assert in_stratum("shaking camera", labels, scene_flow(labels, (2.0, 0.0), camera)) == [4, 5]


def test_what_is_not_known_tells_nothing():
    labels = [disk(20)] * 3
    flow = scene_flow(labels, (0.0, 0.0))
    valid = np.ones(flow.shape[:3])
    flow[:, :, :4], valid[:, :, :4] = 1e6, 0
    assert in_stratum("at rest", labels, flow, valid) == [0, 1, 2]
    assert "at rest" not in find_strata(np.stack(labels), FRAMES[:3], None)


def test_recovery_counts_the_frames_after_each_stay():
    inside = {"at rest": (False, True, True, False, False, True, False, True)}
    scores = np.array([0.9, 0, 0, 0.2, 0.8, 0.1, 0.7, 0.1])
    assert recovery(scores, inside, "at rest") == [1, 0]
    assert recovery(np.zeros(8), inside, "at rest") == [np.inf, np.inf]
    assert recovery(scores, {}, "at rest") == []


def run_of(*sequences):
    return Run("m", "checkpoint", "", tuple(sequences))


def sequence(name, j, **strata):
    scores = (ObjectScores("foreground", {"J": tuple(j)}),)
    frames = tuple(range(len(j)))
    names = tuple(map(str, frames))
    told = {key.replace("_", " "): tuple(value) for key, value in strata.items()}
    return SequenceScores(name, len(j), 2, frames, names, scores, (), None, told)


def dataset_of(run, by):
    names = tuple(s.name for s in run.sequences)
    return Dataset("d", "root", "raft", {}, "sequence", ("J",), names, (run,), by=by)


def test_attributes_are_means_over_the_sequences_that_have_them():
    run = run_of(sequence("bear", [0.5, 0.7]), sequence("bmx-bumps", [0.1]), sequence("mine", [1]))
    groups = {group.name: group for group in by_attributes(run, dataset_of(run, ("attributes",)))}
    assert groups["DEF"].inside["J_mean"] == pytest.approx(0.6)
    assert groups["DEF"].outside["J_mean"] == pytest.approx(0.1)  # not of a video that has none
    assert groups["DEF"].count == 1
    assert groups["DB"].count == 0
    assert len(davis_attributes()) == 50
    assert sum(map(len, davis_attributes().values())) == 295


def test_strata_are_means_over_the_frames_in_them():
    run = run_of(
        sequence("a", [0.2, 0.4, 0.9], at_rest=[True, True, False]),
        sequence("b", [0.6, float("nan")], at_rest=[True, True]),
    )
    group, *_ = [g for g in by_strata(run, dataset_of(run, ("strata",))) if g.name == "at rest"]
    assert group.inside["J_mean"] == pytest.approx(0.4)
    assert group.outside["J_mean"] == pytest.approx(0.9)
    assert group.count == 4
    assert group.recovery == 0


def test_scores_by_groups_from_the_command_line(tmp_path, capsys):
    root, out = write_davis(tmp_path / "davis"), tmp_path / "out"
    arguments = ["--data", root, "--flow", "made", "--out", out, "--baselines", "none"]
    assert run_eval(*arguments, "--by", "attributes", "strata") == 0
    groups = json.loads((out / "scores.json").read_text())["groups"]
    assert set(groups) - set(STRATA) == davis_attributes()["dog"]  # the other one has another name
    for group in groups.values():
        assert 0 <= group["inside"]["J_mean"] <= 1
        assert group["count"] > 0
    assert "| DEF: deformation (1)" in capsys.readouterr().out
    assert run_eval(*arguments, "--stability") == 0
    scores = json.loads((out / "scores.json").read_text())
    assert 0 <= scores["sequences"]["car"]["T_mean"] == scores["T_mean"] < 1
    assert "T_mean" not in scores["sequences"]["dog"]  # DAVIS measures none of it
    assert "T, lower is better" in capsys.readouterr().out
    assert run_eval(*arguments) == 0
    assert "groups" not in json.loads((out / "scores.json").read_text())
    with pytest.raises(SystemExit, match="2"):
        run_eval(*arguments, "--by", "color")
