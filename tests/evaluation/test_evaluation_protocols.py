"""Each protocol on cases small enough to be worked out by hand, or by brute force."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up_davis import FRAMES, SIZE, by_u, ground_truth, write_davis, write_indexed
from scipy import ndimage

from jaxmotion.errors import InputError
from jaxmotion.evaluation import PRESETS, find_sequences, preset
from jaxmotion.evaluation.comparison import published_scores
from jaxmotion.evaluation.methods import Network
from jaxmotion.evaluation.plan import DatasetPlan, Options
from jaxmotion.evaluation.run import evaluate
from jaxmotion.evaluation.score import score_labels
from jaxmotion.evaluation.sequences import Annotation
from jaxmotion.metrics import masks
from jaxmotion.metrics.davis import boundary_f, jaccard
from jaxmotion.metrics.objects import bootstrap_iou, box_iou, match_objects

few = settings(deadline=None, max_examples=15)


def label_maps(seed, num_labels, frames=4, shape=(24, 40)):
    noise = np.random.default_rng(seed).normal(size=(num_labels, frames, *shape))
    return ndimage.gaussian_filter(noise, (0, 1, 3, 3)).argmax(0).astype(np.uint8)


def annotation_of(labels, void=None, frames=None):
    frames = np.arange(len(labels)) if frames is None else np.asarray(frames)
    return Annotation(frames, tuple(map(str, frames)), labels.astype(np.uint8), void)


def test_salient_takes_what_does_not_move_as_the_largest_segment_does():
    labels = np.zeros((3, 16, 24), np.uint8)
    labels[:, 4:8, 4:12], labels[:, 10:14, 12:18], labels[:, :2, 18:] = 1, 2, 3
    motion = np.float32([[1, 0], [4, 0], [1, 2.5], [1.2, 0]])  # the last is background in truth
    flow = motion[labels][:, ::2, ::2]  # at half the size of the labels
    truth = np.isin(labels, (1, 2))
    protocol = preset("davis2016", select="salient", cut=0)
    _, foreground = score_labels("name", labels, annotation_of(truth), protocol, 4, flow=flow)
    np.testing.assert_array_equal(masks.unpack(foreground, 24), truth)
    with pytest.raises(InputError, match="needs the flow"):
        score_labels("name", labels, annotation_of(truth), protocol, 4)


@few
@given(st.integers(0, 10**6))
def test_void_pixels_are_taken_out_of_both_masks(seed):
    gt, pred, void = label_maps(seed, 2, frames=3) == 1
    known = ~void
    assert jaccard(gt, pred, void) == np.sum(gt & pred & known) / np.sum((gt | pred) & known)
    assert boundary_f(gt, pred, void=void) == boundary_f(gt & known, pred & known)
    assert jaccard(gt, pred, np.ones_like(void)) == 1  # nothing left: both are empty


@few
@given(st.integers(0, 10**6))
def test_void_of_objects_is_that_of_their_masks(seed):
    gt, pred = label_maps(seed, 3), label_maps(seed + 1, 4)
    void = label_maps(seed + 2, 3) == 1
    match = match_objects(gt, pred, void)
    for (segment, label), j, f in zip(match.pairs, match.jaccard, match.boundary_f, strict=True):
        np.testing.assert_allclose(j, jaccard(gt == label, pred == segment, void))
        np.testing.assert_allclose(f, boundary_f(gt == label, pred == segment, void=void))


def test_an_object_all_of_whose_pixels_are_void_is_none():
    gt = np.zeros((1, 6, 6), np.uint8)
    gt[0, :2], gt[0, 4:] = 1, 2
    assert match_objects(gt, gt, gt == 2).pairs == ((1, 1),)


def test_assignment_by_j_alone_is_the_best_by_brute_force():
    gt, pred = label_maps(5, 4), label_maps(6, 4)
    match = match_objects(gt, pred, use_boundary=False)
    assert np.isnan(match.boundary_f).all()
    best = max(
        np.mean([jaccard(gt == g, pred == p).mean() for g, p in zip((1, 2, 3), p3, strict=True)])
        for p3 in permutations(range(4), 3)
    )
    np.testing.assert_allclose(np.mean(match.J_mean), best)


def test_a_background_label_is_no_candidate():
    gt = np.zeros((1, 8, 8), np.uint8)
    gt[0, :, :3] = 1
    pred = np.where(gt == 1, 0, 1)
    assert match_objects(gt, pred).pairs == ((0, 1),)
    match = match_objects(gt, pred, background=0)
    assert match.pairs == ((1, 1),)
    assert match.J_mean == [0]


@few
@given(st.integers(0, 10**6), st.permutations(range(4)))
def test_bootstrap_iou_is_the_best_segment_of_each_frame(seed, names):
    gt, pred = label_maps(seed, 3), label_maps(seed + 1, 4)
    gt[1][gt[1] == 2] = 0  # the second object leaves for a frame
    found = bootstrap_iou(gt, np.array(names)[pred])
    assert list(found) == [1, 2]
    for label, scores in found.items():
        for t, score in enumerate(scores):
            if (gt[t] == label).any():
                best = max(jaccard(gt[t] == label, pred[t] == k) for k in range(4))
                assert score == pytest.approx(best)
            else:
                assert np.isnan(score)


def test_bootstrap_iou_follows_no_label_through_time_and_assignment_does():
    gt = np.zeros((2, 8, 8), np.uint8)
    gt[:, :, :4] = 1
    pred = gt.copy()
    pred[1] = 1 - pred[1]  # the labels change places
    assert bootstrap_iou(gt, pred)[1].tolist() == [1, 1]
    assert match_objects(gt, pred).J_mean == [0.5]


def test_box_of_the_largest_region():
    gt, found = np.zeros((20, 30), bool), np.zeros((20, 30), bool)
    gt[5:10, 5:15] = True
    assert box_iou(gt, found) == 0
    found[5, 5], found[9, 14] = True, True  # two regions of a pixel: one of them is the box
    assert box_iou(gt, found) == 1 / 50
    found[6:10, 6] = True  # one region with the first pixel, touching it at a corner
    assert box_iou(gt, found) == 5 * 2 / 50
    found[:] = False
    found[5:10, 10:20] = True
    assert box_iou(gt, found) == 25 / 75
    found[15:, :2] = True  # smaller, elsewhere
    assert box_iou(gt, found) == 25 / 75
    assert box_iou(np.zeros_like(gt), np.zeros_like(gt)) == 1
    assert box_iou(np.zeros_like(gt), found) == 0


def test_moca_scores_boxes_and_nothing_else():
    gt = np.zeros((2, 20, 30), np.uint8)
    gt[:, 5:10, 5:15] = 1
    labels = np.zeros_like(gt)
    labels[:, 5, 5:15] = labels[:, 5:10, 5] = 1  # an L spans the whole box
    scores, _ = score_labels("s", labels, annotation_of(gt), preset("moca"), 2)
    assert scores.per_frame("J").tolist() == [1, 1]
    assert scores.measures == ("J",)


def test_a_rule_sees_the_annotated_frames_of_its_cut():
    # Label 0 is the object in the first cut, label 1 in the second; the third is not annotated.
    gt = np.zeros((6, 8, 10), np.uint8)
    gt[:, 2:6, 2:6] = 1
    labels = np.where((np.arange(6) // 2 == 0)[:, None, None], 1 - gt, gt).astype(np.uint8)
    annotation = annotation_of(gt[[1, 2, 3]], frames=[1, 2, 3])
    scores, _ = score_labels("s", labels, annotation, preset("fbms59", select="overlap", cut=2), 2)
    assert scores.frames == (1, 2, 3)
    assert [cut.labels for cut in scores.cuts] == [(0,), (1,), (1,)]
    assert scores.per_frame("J").tolist() == [1, 1, 1]


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_identical_empty_and_renamed_segments(name):
    gt = np.zeros((3, 24, 40), np.uint8)
    gt[:, 4:12, 5:15], gt[:, 14:20, 20:35] = 1, 2
    if PRESETS[name].target == "box":  # one region
        gt[gt == 2] = 0
    protocol = preset(name)

    def scores_of(labels, truth=gt):
        return score_labels("s", labels, annotation_of(truth), protocol, 3)[0]

    same, nothing = scores_of(gt), np.zeros_like(gt)
    for measure in protocol.measures:
        assert same.per_frame(measure).tolist() == [1, 1, 1]
    if protocol.target != "objects":
        assert scores_of(nothing).per_frame("J").tolist() == [0, 0, 0]
        assert scores_of(nothing, nothing).per_frame("J").tolist() == [1, 1, 1]
    else:  # label 0 is a segment too, and the larger object's
        assert scores_of(nothing).per_frame("J").max() < 0.1
        assert scores_of(nothing, nothing).objects == ()
    noisy = label_maps(3, 3, frames=3)
    for names in permutations(range(3)):
        renamed = scores_of(np.array(names, np.uint8)[noisy])
        assert renamed.statistics() == pytest.approx(scores_of(noisy).statistics())


def evaluate_made_up(root, out, protocol):
    plan = DatasetPlan("made", root, "made", protocol)
    *_, last = evaluate(out, [plan], [Network("m", lambda: by_u)], Options())
    return last.datasets[0]


@pytest.fixture
def sparse(tmp_path):
    """Annotated in frames 0 and 3 (`dog`) and in frame 2 and the last (`car`), several objects."""
    root = write_davis(tmp_path / "sparse")
    for name, left, kept in (("dog", 4, (0, 3)), ("car", 10, (2, 4))):
        folder = root / "Annotations/480p" / name
        for path in folder.iterdir():
            path.unlink()
        masks = ground_truth(left).astype(np.uint8)
        masks[:, :12] *= 2  # two objects, one on the other
        write_indexed(folder, masks[list(kept)], [f"{t:05d}" for t in kept])
    return root


@pytest.mark.parametrize("with_frames", [True, False])
def test_sparse_annotation_is_placed_in_the_video_and_averaged_by_frame(
    sparse, tmp_path, with_frames
):
    if not with_frames:
        for name in ("dog", "car"):
            for path in (sparse / "JPEGImages/480p" / name).iterdir():
                path.unlink()
    dataset = evaluate_made_up(sparse, tmp_path / "out", preset("fbms59"))
    car, dog = dataset.runs[0].sequences
    assert (car.frames, dog.frames) == ((2,), (0, 3))  # the last frame has no flow
    assert car.num_frames == FRAMES - 1
    frames = np.concatenate([car.per_frame("J"), dog.per_frame("J")])
    assert frames.min() > 0.8
    assert dataset.runs[0].means("frame")["J_mean"] == pytest.approx(frames.mean())
    per_sequence = (car.per_frame("J").mean() + dog.per_frame("J").mean()) / 2
    assert dataset.runs[0].means("sequence")["J_mean"] == pytest.approx(per_sequence)
    assert dataset.average == "frame"


def test_a_mask_of_no_frame_is_named(sparse):
    write_indexed(sparse / "Annotations/480p/dog", np.zeros((1, *SIZE)), ["00017"])
    (dog,) = find_sequences(sparse, "made", ["dog"])
    with pytest.raises(InputError, match=r"00017\.png: a mask of no frame"):
        dog.read_annotation(preset("fbms59"), FRAMES - 1)


def test_multi_object_protocols_score_every_object(sparse, tmp_path):
    dataset = evaluate_made_up(sparse, tmp_path / "out", preset("fbms59_multi"))
    for scores in dataset.runs[0].sequences:
        assert [scored.name for scored in scores.objects] == ["1", "2"]
        assert {scored.segment for scored in scores.objects} == {0, 1}
        for scored in scores.objects:
            assert set(scored.scores) == {"J", "bIoU"}
            assert all(b >= j for j, b in zip(*scored.scores.values(), strict=True))
    means = dataset.runs[0].means("object")
    objects = [np.mean(o.scores["J"]) for s in dataset.runs[0].sequences for o in s.objects]
    assert means["J_mean"] == pytest.approx(np.mean(objects))


def test_davis2017_matches_over_the_whole_video_without_the_void(tmp_path):
    root = write_davis(tmp_path / "davis")
    for name, left in (("dog", 4), ("car", 10)):
        masks = ground_truth(left).astype(np.uint8)
        masks[:, :3] = 255
        write_indexed(root / "Annotations/480p" / name, masks)
    dataset = evaluate_made_up(root, tmp_path / "out", preset("davis2017_motion"))
    for scores in dataset.runs[0].sequences:
        (scored,) = scores.objects
        assert (scored.name, scored.segment) == ("1", 0)
        assert min(scored.scores["J"]) > 0.8
    means = dataset.runs[0].means("object")
    assert means["JF_mean"] == pytest.approx((means["J_mean"] + means["F_mean"]) / 2)


def test_official_frames_of_davis2017_are_all_that_there_are():
    protocol = preset("davis2017_motion", frames="official")
    assert list(protocol.scored(range(5), 5, 4)) == [0, 1, 2, 3, 4]
    assert list(preset("davis2017_motion").scored(range(5), 5, 4)) == [0, 1, 2, 3]


def test_every_preset_has_its_published_scores():
    for protocol in PRESETS.values():
        columns = published_scores(protocol.published)
        assert columns
        wanted = {f"{measure}_mean" for measure in protocol.measures}
        assert any(wanted & column.means.keys() for column in columns)
    counts = {name: len(published_scores(p.published)[0].sequences) for name, p in PRESETS.items()}
    assert counts == {
        "davis2016": 20,
        "segtrack_v2": 14,
        "fbms59": 30,
        "moca": 88,
        "davis2017_motion": 30,
        "fbms59_multi": 0,
    }


@pytest.mark.real
def test_published_scores_are_those_of_the_facts(shared):
    """Every score per sequence in the shared table is in ours."""
    import csv

    with open(shared / "reference/published_scores.csv", encoding="utf-8") as file:
        facts = list(csv.DictReader(file))
    ours = {
        (protocol.published, column.method): column
        for protocol in PRESETS.values()
        for column in published_scores(protocol.published)
    }
    compared = 0
    for fact in facts:
        column = ours.get((fact["dataset"], fact["method"]))
        name = fact["sequence"].lower().replace(" ", "_")
        if column is None or name not in column.sequences:
            continue
        if fact["dataset"] != "DAVIS2017-motion-val":
            assert column.sequences[name][fact["metric"]] == float(fact["value"])
            compared += 1
    assert compared == 3 * 20 * 6 + 3 * 14 + 3 * 30 + 88
