"""Built data sets are scored as the folders that they were built from, and have labels."""

import csv
import json
import shutil

import cv2
import numpy as np
import pytest
from made_up_davis import run_eval, write_indexed
from original_layouts import FLOW_SIZE, MOCA_BOXES, SIZE, mask, two_objects, write

from jaxmotion.data import open_source
from jaxmotion.data.flow_cache import FlowCache
from jaxmotion.data.record_sequences import fill_box, open_records
from jaxmotion.data.records import INDEX
from jaxmotion.errors import InputError


def scores_of(data, out, *options):
    """Scores of each sequence, and of each frame and object, but for the name of the data set."""
    status = run_eval("--data", data, "--out", out, "--baselines", "otsu", *options)
    assert status == 0
    scores = json.loads((out / "scores.json").read_text())["sequences"]
    with open(out / "frames.csv") as file:
        rows = [{k: v for k, v in row.items() if k != "dataset"} for row in csv.DictReader(file)]
    return scores, rows


def moving(root, name, count, labels):
    """Flow in which each object of `labels(t)` moves in its own way."""
    vectors = np.float32([[0, 0], [6, 1], [-2, 5]])
    shrunk = [
        cv2.resize(labels(t), FLOW_SIZE[::-1], interpolation=cv2.INTER_AREA) for t in range(count)
    ]
    flow = vectors[np.stack(shrunk).clip(0, 2)]
    flow += np.random.default_rng(count).normal(0, 0.3, flow.shape)
    np.savez(root / f"Flows/made/{name}.npz", flow=flow.astype(np.float16))


def as_davis(root, out, names, annotate):
    """The same videos in a folder laid out like DAVIS; `annotate(name)` gives labels by frame."""
    for name, folder in names.items():
        shutil.copytree(folder, out / "JPEGImages/480p" / name)
        for path in (root / "Flows/made").glob(f"{name}.*"):
            (out / "Flows/made").mkdir(parents=True, exist_ok=True)
            shutil.copy(path, out / "Flows/made")
        frames = sorted(p.stem for p in folder.iterdir() if p.is_file())
        for t, labels in annotate(name).items():
            write_indexed(out / "Annotations/480p" / name, [labels], [frames[t]])
    return out


def test_davis2016_is_scored_as_its_folder(original, build, tmp_path):
    root = original("davis2016")
    for name in ("dog", "goat"):
        moving(root, name, 3, lambda t: mask(t, 1))
    assert build("davis2016", root)[0] == 0
    spec = f"tfds:{tmp_path}/built/davis2016"
    folder = scores_of(root, tmp_path / "folder", "--flow", "made", "--split", "val")
    records = scores_of(spec, tmp_path / "records", "--split", "validation")
    assert set(folder[0]) == {"dog", "goat"}
    assert records == folder
    assert min(scores["J_mean"] for scores in folder[0].values()) > 0.1
    dataset = json.loads((tmp_path / "records/evaluation.json").read_text())["datasets"][0]
    assert dataset["name"] == "davis2016"
    assert set(scores_of(spec, tmp_path / "all")[0]) == {"bear", "bus", "car", "dog", "goat"}
    named = scores_of(spec, tmp_path / "named", "--sequences", "goat", "--frames", "official")
    assert named[0] == scores_of(
        root, tmp_path / "n", "--flow", "made", "--sequences", "goat", "--frames", "official"
    )[0]  # fmt: skip


def test_moca_is_scored_by_its_boxes(original, build, tmp_path):
    root = original("moca")
    table = root / "Annotations/annotations.csv"
    table.write_text(table.read_text().replace("15.5,5,20,15", "15,5,20,15"))
    boxes = {0: (10, 5, 20, 15), 5: (15, 5, 20, 15)}

    def drawn(t):
        x, y, width, height = boxes[5 * (t > 2)]
        labels = np.zeros(SIZE, np.uint8)
        labels[y : y + height, x : x + width] = 1
        return labels

    for name in ("crab", "seal_1"):
        moving(root, name, 6, drawn)
    assert build("moca", root)[0] == 0
    names = {name: root / "JPEGImages" / name for name in ("crab", "seal_1")}
    davis = as_davis(root, tmp_path / "davis", names, lambda name: {t: drawn(t) for t in boxes})
    folder = scores_of(davis, tmp_path / "folder", "--flow", "made", "--protocol", "moca")
    records = scores_of(f"tfds:{tmp_path}/built/moca", tmp_path / "records")
    assert records == folder
    assert 0.1 < records[0]["crab"]["J_mean"] < 1
    dataset = json.loads((tmp_path / "records/evaluation.json").read_text())["datasets"][0]
    assert dataset["protocol"]["target"] == "box"


@pytest.mark.parametrize("name", ["davis2017_motion", "fbms59", "segtrack_v2"])
def test_objects_are_scored_as_in_a_folder(name, original, build, tmp_path):
    root = original(name)
    labels = two_objects
    if name == "davis2017_motion":

        def labels(t):
            return np.where(np.arange(SIZE[1]) >= 60, np.uint8(255), two_objects(t))

        for sequence in ("pigs", "soapbox"):
            place = root / "Annotations_unsupervised_motion/480p" / sequence
            shutil.rmtree(place)
            write_indexed(place, [labels(t) for t in range(4)])
        names = {n: root / "JPEGImages/480p" / n for n in ("pigs", "soapbox")}
        frames = range(4)
    elif name == "fbms59":
        names = {n: root / "Testset" / n for n in ("cars1", "lion01")}
        frames = (0, 3)
    else:
        names, frames = {"bmx": root / "JPEGImages/bmx"}, range(3)
    for sequence in names:
        moving(root, sequence, 2 if name == "segtrack_v2" else 3 + (name == "fbms59"), two_objects)
    assert build(name, root)[0] == 0
    annotated = {t: labels(t) for t in frames}
    davis = as_davis(root, tmp_path / "davis", names, lambda _: annotated)
    for path in davis.rglob("GroundTruth"):
        shutil.rmtree(path)
    folder = scores_of(davis, tmp_path / "folder", "--flow", "made", "--protocol", name)
    spec = f"tfds:{tmp_path}/built/{name}"
    records = scores_of(spec, tmp_path / "records", "--sequences", *names)
    assert records == folder
    assert len(records[1]) > 1


def test_an_object_of_the_label_that_means_unjudged_counts(original, build, tmp_path):
    """255 is an object in pictures without a palette, in a folder and so in a record."""
    root = original("davis2017_motion")
    for sequence in ("pigs", "soapbox"):
        for t in range(4):
            place = root / f"Annotations_unsupervised_motion/480p/{sequence}/{t:05d}.png"
            write(place, mask(t, 255))
        moving(root, sequence, 3, lambda t: mask(t, 1))
    assert build("davis2017_motion", root)[0] == 0
    shutil.copytree(root / "Annotations_unsupervised_motion", root / "Annotations")
    options = ("--sequences", "pigs", "soapbox")
    folder = scores_of(
        root, tmp_path / "f", "--flow", "made", "--protocol", "davis2017_motion", *options
    )
    records = scores_of(f"tfds:{tmp_path}/built/davis2017_motion", tmp_path / "r", *options)
    for row in (*records[1], *folder[1]):
        del row["object"]  # 1, and 255
    assert records[1] == folder[1]
    assert len(records[1]) == 6


def test_what_cannot_be_scored_is_one_line(original, build, tmp_path, capfd):
    assert build("davis2017_motion", original("davis2017_motion"))[0] == 0
    spec = f"tfds:{tmp_path}/built/davis2017_motion"
    for options, words in (
        (["--sequences", "zebra"], "no sequence zebra, there are cat-girl, koala, pigs, soapbox"),
        (["--sequences", "koala"], "no mask or box of koala"),
        (["--split", "test"], "split 'test': tfds:"),
        (["--split", "train", "--sequences", "pigs"], "name either sequences or a split"),
        (["--include-frames"], ""),
    ):
        status = run_eval(
            "--data", spec, "--out", tmp_path / "out", "--baselines", "none", *options
        )
        error = capfd.readouterr().err
        assert status == (2 if words else 0), error
        assert words in error
    assert run_eval("--data", "tfds:nowhere/at/all", "--out", tmp_path / "none") == 2
    assert "no data set built in" in capfd.readouterr().err


def test_records_open_without_being_decoded(original, build, tmp_path, monkeypatch):
    from jaxmotion.data.records import Built

    assert build("moca", original("moca"))[0] == 0
    folder = tmp_path / "built/moca/files/1.0.0"
    spec, read, reads = str(folder), Built.read, []
    monkeypatch.setattr(Built, "read", lambda self, *args: reads.append(args) or read(self, *args))
    (crab, seal) = open_records(spec, None, FlowCache())
    assert (crab.name, crab.length, crab.size, crab.units) == ("crab", 6, FLOW_SIZE, SIZE)
    assert crab.fingerprint() != seal.fingerprint()
    assert reads == []
    boxes = crab.read(("boxes",), range(6))["boxes"]
    height, width = SIZE
    for t, box in enumerate(boxes):
        if t in MOCA_BOXES:
            expected = MOCA_BOXES[t] / np.array([width, height, width, height])
            np.testing.assert_allclose(box, expected, rtol=1e-6)
        else:
            assert np.isnan(box).all()
    (folder / INDEX).unlink()  # of an earlier version
    (again, _) = open_records(spec, None, FlowCache())
    assert len(reads) == 3
    assert (again.name, again.length, again.size, again.units) == ("crab", 6, FLOW_SIZE, SIZE)
    (folder / INDEX).write_text("{")
    assert len(open_records(spec, None, FlowCache())) == 2


def test_boxes_have_the_pixels_that_they_were_drawn_around():
    rng = np.random.default_rng(0)
    for _ in range(200):
        size = rng.integers(20, 1500, 2)
        start = (rng.random(2) * size * 0.9).astype(int)
        (top, left), (bottom, right) = start, np.minimum(start + rng.integers(1, 100, 2), size)
        box = np.array([left, top, right - left, bottom - top]) / np.tile(size[::-1], 2)
        rows, columns = np.nonzero(fill_box(box.astype(np.float32), tuple(size)))
        found = rows.min(), columns.min(), rows.max() + 1, columns.max() + 1
        assert found == (top, left, bottom, right)
        assert len(rows) == (bottom - top) * (right - left)


def test_frozen_scenes_have_labels_to_train_on(build, tmp_path, monkeypatch):
    from jaxmotion_datasets.flow_scenes import Builder

    from jaxmotion.scenes import LEVELS, generate

    config = Builder.builder_configs["easy"]
    for field, value in (("num_clips", (3, 2, 2)), ("num_frames", 4)):
        monkeypatch.setattr(config, field, value)
    assert build("flow_scenes", None, "--level", "easy")[0] == 0
    fields = ("flow", "valid", "labels", "instances", "void")
    source = open_source(
        f"tfds:{tmp_path}/built/flow_scenes/easy", split="train", clip_length=3, fields=fields
    )
    assert len(source) == 6
    for index in range(len(source)):
        clip = source[index]
        number, start = (int(word) for word in clip["name"].split("/")[1:])
        scene = generate(LEVELS["easy"], 4, config.height, config.width, 2**62 + number)
        labels = scene.labels[start : start + 3]
        np.testing.assert_array_equal(clip["labels"], labels)
        assert set(np.unique(clip["instances"])) == set(range(clip["instances"].max() + 1))
        np.testing.assert_array_equal(clip["instances"] > 0, labels > 0)
        assert not clip["void"].any()
    with pytest.raises(InputError, match="no field 'frames', expected some of flow, valid, labels"):
        open_source(f"tfds:{tmp_path}/built/flow_scenes/easy", fields=("frames",))


def test_masks_of_records_are_fields_of_clips(original, build, tmp_path):
    assert build("video_flow", original("video_flow"))[0] == 0
    spec = f"tfds:{tmp_path}/built/video_flow"
    with pytest.raises(InputError, match="no field 'labels', expected some of flow, valid"):
        open_source(spec, fields=("labels",))  # run has no masks
    (run, walk) = open_records(spec.removeprefix("tfds:"), None, FlowCache())
    assert "labels" not in run.readers
    found = walk.read(("labels", "void"), range(3))
    np.testing.assert_array_equal(found["labels"][1], mask(1, 2))
    assert found["void"][[0, 2]].all()
    assert not found["void"][1].any()
