"""Result folders, comparisons and suites, through `eval.py` and the library."""

import csv
import json
import re
import shutil
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from made_up_davis import (
    FRAMES,
    SIZE,
    by_u,
    ground_truth,
    run_eval,
    write_davis,
    write_indexed,
)
from PIL import Image
from scipy import stats

from jaxmotion.errors import InputError
from jaxmotion.evaluation import folder as evaluation_folder
from jaxmotion.evaluation import preset
from jaxmotion.evaluation.comparison import paired_differences, published_scores
from jaxmotion.evaluation.methods import Network, ResultFolder
from jaxmotion.evaluation.plan import DatasetPlan, Options
from jaxmotion.evaluation.results import Dataset, Evaluation, Failure, Run, dumps, loads
from jaxmotion.evaluation.run import evaluate
from jaxmotion.evaluation.score import Cut, ObjectScores, SequenceScores
from jaxmotion.evaluation.suite import read_suite
from jaxmotion.locks import locked
from jaxmotion.metrics.bootstrap import bootstrap_interval
from jaxmotion.metrics.davis import boundary_f, jaccard
from jaxmotion.report.layers import write_layers


@pytest.fixture
def root(tmp_path):
    return write_davis(tmp_path / "davis")


def shifted(left):
    """What another method found: the object, a few pixels off."""
    return np.roll(ground_truth(left), 3, axis=2).astype(np.uint8)


@pytest.fixture
def results(tmp_path):
    for name, left in (("dog", 4), ("car", 10)):
        write_indexed(tmp_path / "other" / name, shifted(left)[:-1])
    return tmp_path / "other"


def scores_of(out):
    return json.loads((out / "scores.json").read_text())


def test_results_of_another_method_are_scored_without_flow(root, results, tmp_path):
    shutil.rmtree(root / "Flows")
    out, named = tmp_path / "out", ["--sequences", "dog", "car"]
    assert run_eval("--data", root, "--results", results, "--out", out, *named) == 0
    scores = scores_of(out)
    assert scores["method"] == "other"
    assert scores["baselines"] == {}
    for name, left in (("dog", 4), ("car", 10)):
        pair = ground_truth(left)[:-1], shifted(left)[:-1] != 0
        assert scores["sequences"][name]["J_mean"] == pytest.approx(jaccard(*pair).mean())
        assert scores["sequences"][name]["F_mean"] == pytest.approx(boundary_f(*pair).mean())


def test_our_masks_are_scored_as_they_were_when_they_are_read_back(root, tmp_path):
    arguments = ["--data", root, "--flow", "made", "--baselines", "none"]
    for protocol, folder, rule in (
        ("davis2016", "masks", []),
        ("davis2016", "segments", ["--select", "except_largest"]),
        ("davis2017_motion", "masks", []),
    ):
        name = f"{protocol}_{folder}"
        named = [*arguments, "--protocol", protocol]
        out, again = tmp_path / name, tmp_path / f"{name}_again"
        assert run_eval(*named, "--out", out, "--write-masks") == 0
        written = out / folder / "davis/otsu"
        with Image.open(written / "dog/00000.png") as picture:
            assert picture.mode == "P"
        assert len(list((written / "dog").iterdir())) == FRAMES - 1
        assert run_eval(*named, *rule, "--out", again, "--results", written) == 0
        first, second = scores_of(out)["sequences"], scores_of(again)["sequences"]
        for sequence in first:
            for statistic in ("J_mean", "F_mean", "J_recall", "F_decay"):
                assert second[sequence][statistic] == first[sequence][statistic]


def masks_of(out):
    return {
        path.relative_to(out).as_posix()
        for part in ("masks", "segments")
        for path in out.glob(f"{part}/*/*/*")
    }


def test_masks_of_an_earlier_evaluation_do_not_stay(root, tmp_path):
    out = tmp_path / "out"
    named = ["--data", root, "--flow", "made", "--baselines", "none", "--out", out]
    assert run_eval(*named, "--write-masks") == 0
    assert masks_of(out) == {
        f"{part}/davis/otsu/{name}" for part in ("masks", "segments") for name in ("dog", "car")
    }
    (out / "masks/davis/otsu/car/.DS_Store").write_text("of a file browser")
    (out / ".jaxmotion.eval.json").rename(tmp_path / "mark")
    for mark in (True, False):  # a version without marks left masks of more than it has scores of
        if mark:
            (tmp_path / "mark").rename(out / ".jaxmotion.eval.json")
        else:
            (out / ".jaxmotion.eval.json").unlink()
        assert run_eval(*named, "--write-masks", "--sequences", "dog") == 0
        assert set(scores_of(out)["sequences"]) == {"dog"}
        assert masks_of(out) >= {"masks/davis/otsu/dog", "segments/davis/otsu/dog"}
        assert not list(out.glob("*/davis/otsu/car/*.png"))
    assert run_eval(*named) == 0
    assert set(scores_of(out)["sequences"]) == {"dog", "car"}
    assert not list(out.glob("masks/**/*.png"))


def test_frames_of_an_earlier_evaluation_do_not_stay(root, tmp_path):
    out = tmp_path / "out"
    named = ["--data", root, "--flow", "made", "--baselines", "none", "--out", out]
    assert run_eval(*named, "--write-masks", "--sequences", "dog") == 0
    flow = np.load(root / "Flows/made/dog.npz")["flow"]
    np.savez(root / "Flows/made/dog.npz", flow=flow[:2])
    for t in (3, 4):  # the video is shorter now
        (root / f"Annotations/480p/dog/{t:05d}.png").unlink()
        (root / f"JPEGImages/480p/dog/{t:05d}.jpg").unlink()
    assert run_eval(*named, "--write-masks", "--sequences", "dog") == 0
    for part in ("masks", "segments"):
        assert len(list((out / part / "davis/otsu/dog").iterdir())) == 2


def test_masks_of_the_users_are_kept(root, tmp_path, capsys):
    out = tmp_path / "out"
    named = ["--data", root, "--flow", "made", "--baselines", "none", "--out", out]
    write_indexed(out / "masks" / "davis" / "otsu" / "dog", shifted(4))
    before = (out / "masks/davis/otsu/dog/00000.png").read_bytes()
    assert run_eval(*named, "--write-masks") == 2
    assert "was not written by jaxmotion eval" in capsys.readouterr().err
    assert run_eval(*named) == 0  # which writes no masks
    assert run_eval(*named) == 0
    assert (out / "masks/davis/otsu/dog/00000.png").read_bytes() == before
    (out / "scores.csv").write_text("worked on")
    assert run_eval(*named) == 2
    assert "scores.csv: was changed after jaxmotion eval wrote it" in capsys.readouterr().err
    assert (out / "scores.csv").read_text() == "worked on"


def test_an_evaluation_does_not_go_over_the_masks_it_scores(root, tmp_path, capsys):
    out = tmp_path / "out"
    named = ["--data", root, "--flow", "made", "--baselines", "none", "--out", out]
    assert run_eval(*named, "--write-masks") == 0
    before = masks_of(out)
    assert run_eval(*named, "--results", out / "masks/davis/otsu", "--write-masks") == 2
    assert "masks: the results would replace it" in capsys.readouterr().err
    assert run_eval(*named, "--results", f"m={out / 'masks/davis/otsu'}") == 0
    assert masks_of(out) == {name for name in before if name.startswith("masks")}


def test_two_evaluations_do_not_write_to_one_folder(root, tmp_path, capsys):
    with locked(tmp_path / "out"):
        assert run_eval("--data", root, "--flow", "made", "--out", tmp_path / "out") == 2
    assert "another run is writing there" in capsys.readouterr().err
    assert list((tmp_path / "out").iterdir()) == []


def test_compared_folders_stand_beside_with_paired_differences(root, results, tmp_path, capsys):
    out = tmp_path / "out"
    assert run_eval("--data", root, "--flow", "made", "--out", out, "--baselines", "none",
                    "--compare", f"theirs={results}") == 0  # fmt: skip
    scores = scores_of(out)
    assert list(scores["others"]) == ["theirs"]
    evaluation = loads((out / "evaluation.json").read_text())
    differences = {
        (d.other, d.published): d
        for d in evaluation.datasets[0].differences
        if d.statistic == "J_mean"
    }
    theirs = differences["theirs", False]
    for name, value in theirs.sequences.items():
        own = scores["sequences"][name]["J_mean"]
        assert value == pytest.approx(own - scores["others"]["theirs"]["sequences"][name]["J_mean"])
    assert theirs.mean == pytest.approx(np.mean(list(theirs.sequences.values())))
    assert theirs.low <= theirs.mean <= theirs.high
    assert list(differences["EM", True].sequences) == ["dog"]
    assert np.isnan(differences["EM", True].low)  # one sequence has no interval
    assert "otsu - theirs: +" in capsys.readouterr().out
    with open(out / "frames.csv") as file:
        rows = [row for row in csv.DictReader(file) if row["method"] == "theirs"]
    assert len(rows) == 2 * (FRAMES - 1)
    expected = jaccard(ground_truth(4)[1], shifted(4)[1] != 0)
    (row,) = [r for r in rows if (r["sequence"], r["frame"]) == ("dog", "1")]
    assert float(row["J"]) == pytest.approx(float(expected), abs=1e-6)


def test_bootstrap_interval_is_that_of_scipy():
    values = np.random.default_rng(0).normal(0.1, 0.3, size=12)
    named = dict(zip("abcdefghijkl", values, strict=True))
    mean, low, high = bootstrap_interval(named, dict.fromkeys(named, 1.0))
    other = stats.bootstrap(
        (values,), np.mean, method="percentile", n_resamples=20_000, rng=np.random.default_rng(1)
    ).confidence_interval
    assert mean == pytest.approx(values.mean())
    assert (low, high) == pytest.approx((other.low, other.high), abs=0.01)
    assert bootstrap_interval(named, dict.fromkeys(named, 1.0)) == (mean, low, high)


def run_of(method, scores):
    sequences = tuple(
        SequenceScores(
            name, len(j), 2, tuple(range(len(j))), tuple(map(str, range(len(j)))),
            (ObjectScores("foreground", {"J": tuple(j)}),), (Cut(0, len(j), (1,)),),
        )
        for name, j in scores.items()
    )  # fmt: skip
    return Run(method, "results", "", sequences)


def test_differences_weigh_as_the_protocol_averages():
    long = run_of("long", {"a": [0.5] * 9, "b": [0.1]})
    other = run_of("other", {"a": [0.4] * 9, "b": [0.5], "c": [1.0]})
    (by_frame,) = paired_differences((long, other), (), ("J",), "frame")
    (by_sequence,) = paired_differences((long, other), (), ("J",), "sequence")
    assert by_frame.mean == pytest.approx((9 * 0.1 - 0.4) / 10)
    assert by_sequence.mean == pytest.approx((0.1 - 0.4) / 2)
    assert by_frame.sequences.keys() == {"a", "b"}
    assert long.means("frame")["J_mean"] == pytest.approx(4.6 / 10)


def test_results_survive_json():
    run = run_of("m", {"a": [0.5, float("nan")]})
    run = Run("m", "results", "x", run.sequences, (Failure("b", "gone"),), ("c",))
    dataset = Dataset(
        "d", "root", "raft", asdict(preset("davis2016")), "sequence", ("J", "F"), ("a", "b", "c"),
        (run,), published_scores()[:2], paired_differences((run, run), (), ("J",), "sequence"),
    )  # fmt: skip
    text = dumps(Evaluation((dataset,)))
    assert "NaN" not in text
    again = loads(text)
    assert dumps(again) == text
    assert again.datasets[0].runs[0].reasons == ("b: gone", "not reached: c")
    assert again.partial
    assert again.datasets[0].published == published_scores()[:2]


NEWER = {"by": [], "strata": {}, "stability": None}


def without_newer(values):
    """The values without fields that the earlier version had not, which are empty."""
    if isinstance(values, dict):
        assert all(values[name] == NEWER[name] for name in values.keys() & NEWER.keys())
        return {n: without_newer(value) for n, value in values.items() if n not in NEWER}
    return list(map(without_newer, values)) if isinstance(values, list) else values


def test_an_evaluation_of_an_earlier_version_is_read():
    text = (Path(__file__).parent / "earlier_evaluation.json").read_text()
    (dataset,) = loads(text).datasets
    assert without_newer(json.loads(dumps(Evaluation((dataset,))))) == json.loads(text)
    assert [run.method for run in dataset.runs] == ["broken", "otsu"]
    assert [failure.sequence for failure in dataset.runs[0].failures] == ["unused", "dog"]
    assert np.isnan(dataset.differences[0].low)  # one sequence has no interval
    assert dataset.protocol == json.loads(text)["datasets"][0]["protocol"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "not an evaluation"),
        ("[]", "expected fields by name"),
        ("{}", "datasets"),
        ('{"datasets": [], "more": 1}', "has no field more"),
        ('{"datasets": [{"runs": [{"kind": "network"}]}]}', r"kind 'network': expected"),
    ],
)
def test_what_is_no_evaluation_is_refused(text, words):
    with pytest.raises(InputError, match=words):
        loads(text)


# Bad results -------------------------------------------------------------------------------------


def damage(results, what):
    path = results / "dog/00002.png"
    if what == "missing sequence":
        shutil.rmtree(results / "dog")
        return results / "dog"
    if what == "missing mask":
        path.unlink()
    elif what == "wrong size":
        Image.new("P", (7, 5)).save(path)
    elif what == "three channels":
        Image.new("RGB", SIZE[::-1], (200, 0, 0)).save(path)
    elif what == "unreadable":
        path.write_bytes(path.read_bytes()[:60])
    elif what == "no picture":
        path.write_text("hello")
    elif what == "label above K":
        write_indexed(path.parent, np.full((1, *SIZE), 4), [path.stem])
    return path


@pytest.mark.parametrize(
    ("what", "complaint"),
    [
        ("missing sequence", "no such folder of results"),
        ("missing mask", "no such mask"),
        ("wrong size", "mask of 7 x 5, expected 40 x 24"),
        ("three channels", "mask in colors"),
        ("unreadable", "damaged picture"),
        ("no picture", "not a picture of a known kind"),
        ("label above K", "label 4, expected at most 3"),
    ],
)
def test_a_bad_result_is_named_in_a_line_and_the_others_are_scored(
    root, results, tmp_path, capsys, what, complaint
):
    at_fault, out = damage(results, what), tmp_path / "out"
    arguments = ["--data", root, "--flow", "made", "--results", results, "--num-masks", "4"]
    named = ["--sequences", "dog", "car", "--baselines", "none"]
    assert run_eval(*arguments, *named, "--out", out) == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert str(at_fault) in errors[0]
    assert complaint in errors[0]
    scores = scores_of(out)
    assert list(scores["sequences"]) == ["car"]
    assert scores["partial"]
    assert complaint in scores["reasons"][0]


def test_every_bad_sequence_has_its_line(root, results, tmp_path, capsys):
    damage(results, "missing mask")
    (root / "Flows/made/car").rename(root / "Flows/made/elsewhere")
    named = ["--sequences", "dog", "car", "unused", "--baselines", "all_background"]
    arguments = ["--data", root, "--flow", "made", "--results", results]
    assert run_eval(*arguments, *named, "--out", tmp_path / "out") == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 3
    assert sorted(re.findall("dog/00002|car.npz|unused.npz", "".join(errors))) == [
        "car.npz",
        "dog/00002",
        "unused.npz",
    ]
    scores = scores_of(tmp_path / "out")
    assert list(scores["baselines"]["all_background"]["sequences"]) == ["dog"]


def test_more_labels_than_the_official_code_takes(root, tmp_path, capsys):
    for name in ("dog", "car"):
        write_indexed(tmp_path / "many" / name, np.full((FRAMES - 1, *SIZE), 23))
    arguments = ["--data", root, "--flow", "made", "--protocol", "davis2017_motion"]
    results = ["--results", tmp_path / "many", "--baselines", "none"]
    assert run_eval(*arguments, *results, "--out", tmp_path / "out") == 2
    assert "label 23, expected at most 20" in capsys.readouterr().err


# Suites ------------------------------------------------------------------------------------------


class Counting:
    """A predictor that counts what it is asked, and may stop the run."""

    def __init__(self, stop_at=None):
        self.calls, self.stop_at = 0, stop_at

    def __call__(self, flow):
        self.calls += 1
        if self.calls == self.stop_at:
            raise KeyboardInterrupt
        return by_u(flow)


def run_suite(out, plans, predict, identity=1, **options):
    method = Network("m", lambda: predict, identity={"parameters": identity})
    options = Options(resume=True, write_pictures=write_layers, **options)
    *_, last = evaluate(out, plans, [method], options)
    return last


@pytest.fixture
def plans(root, results):
    return [
        DatasetPlan("whole", root, "made", preset("davis2016")),
        DatasetPlan("pairs", root, "made", preset("davis2016", cut=2, select="best_subset"),
                    methods=(ResultFolder("other", results),)),
    ]  # fmt: skip


def test_a_suite_that_was_killed_loses_at_most_a_sequence(plans, tmp_path):
    out, killed = tmp_path / "out", Counting(stop_at=4)  # in the second dataset
    with pytest.raises(KeyboardInterrupt):
        run_suite(out, plans, killed)
    again = Counting()
    evaluation = run_suite(out, plans, again)
    assert again.calls == 2 * 1 + 2 * 2 - (4 - 1) + 1  # a cut of the killed sequence is done twice
    assert not evaluation.partial
    fresh = run_suite(tmp_path / "fresh", plans, Counting())
    assert dumps(evaluation) == dumps(fresh)
    nothing = Counting()
    assert dumps(run_suite(out, plans, nothing)) == dumps(fresh)
    assert nothing.calls == 0


@pytest.mark.parametrize("change", ["parameters", "mask", "flow", "protocol", "state", "pictures"])
def test_what_has_changed_is_scored_again(plans, root, tmp_path, change):
    out, identity = tmp_path / "out", 1
    run_suite(out, plans, Counting())
    calls = 1  # one sequence of the first dataset
    if change == "parameters":
        identity, calls = 2, 2 * 1 + 2 * 2
    elif change == "mask":
        Image.fromarray(np.zeros(SIZE, np.uint8)).save(root / "Annotations/480p/dog/00001.png")
        calls = 1 + 2
    elif change == "flow":
        flow = np.load(root / "Flows/made/dog.npz")["flow"]
        np.savez(root / "Flows/made/dog.npz", flow=flow + np.float16(1))
        calls = 1 + 2
    elif change == "protocol":
        plans[0] = DatasetPlan("whole", root, "made", preset("davis2016", frames="official"))
        calls = 2
    elif change == "state":
        (out / "state/whole/m/dog.json").write_text("{")
    else:
        shutil.rmtree(out / "pictures/whole/dog/m")
    again = Counting()
    run_suite(out, plans, again, identity)
    assert again.calls == calls


def test_a_suite_of_methods_and_datasets_is_one_evaluation(root, results, tmp_path, capsys):
    (tmp_path / "suite.toml").write_text(
        """
        [[dataset]]
        data = "davis"
        flow = "made"
        cut = [2, 0]

        [[dataset]]
        data = "davis"
        name = "objects"
        protocol = "davis2017_motion"
        flow = "made"
        split = "one"
        compare = { theirs = "other" }
        """
    )
    out = tmp_path / "out"
    arguments = ["--suite", tmp_path / "suite.toml", "--checkpoint", "otsu", "all_background"]
    for _ in range(2):
        assert run_eval(*arguments, "--baselines", "none", "--out", out) == 0
        evaluation = loads((out / "evaluation.json").read_text())
        names = [(d.name, [run.method for run in d.runs]) for d in evaluation.datasets]
        both = ["otsu", "all_background"]
        assert names == [
            ("davis_cut2", both),
            ("davis_cut0", both),
            ("objects", [*both, "theirs"]),
        ]
        assert [d.sequences for d in evaluation.datasets][2] == ("dog",)
    scores = scores_of(out)
    assert list(scores["datasets"]) == ["davis_cut2", "davis_cut0", "objects"]
    assert scores["J_mean"] == scores["datasets"]["davis_cut2"]["J_mean"]
    with open(out / "datasets.csv") as file:
        rows = list(csv.DictReader(file))
    assert [row["method"] for row in rows] == [*both, *both, *both, "theirs"]
    assert rows[0]["partial"] == "False"
    assert "objects (davis2017_motion, cut 0)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", r"expected a table \[\[dataset\]\]"),
        ("[[dataset]\n", "not a TOML file"),
        ("checkpoint = 'a'\n[[dataset]]\ndata = 'davis'", "not checkpoint"),
        ("[[dataset]]\nname = 'a'", "a dataset without data"),
        ("[[dataset]]\ndata = 'davis'\nrule = 'overlap'", "'rule' is unknown, expected data, name"),
        ("[[dataset]]\ndata = 'davis'\ncut = 'all'", "toml: cut 'all': expected a whole number or"),
        ("[[dataset]]\ndata = 'davis'\ncut = [true]", r"toml: cut \[True\]: expected"),
        (
            "[[dataset]]\ndata = 'davis'\ncut = []",
            r"toml: cut \[\]: expected a whole number or",
        ),
        ("[[dataset]]\ndata = 'davis'\ncut = [0, -1]", "suite.toml: --cut -1: expected a number"),
        ("[[dataset]]\ndata = 'davis'\ncut = 2.0", "toml: cut 2.0: expected a whole number"),
        ("[[dataset]]\ndata = 'davis'\nframes = 'offical'", "toml: --frames offical: unknown"),
        ("[[dataset]]\ndata = 'davis'\nselect = 'best'", "suite.toml: --select best: unknown"),
        ("[[dataset]]\ndata = 'davis'\nsplit = ''", "toml: split '': expected a text"),
        ("[[dataset]]\ndata = 'davis'\nsequences = [1]", r"toml: sequences.*: expected"),
        ("[[dataset]]\ndata = 'davis'\ncompare = {a = 1}", "toml: compare.*: expected a text"),
        (
            "[[dataset]]\ndata = 'davis'\nprotocol = 'moca'\nframes = 'official'",
            "--frames official: moca has no frames of its own",
        ),
        ("dataset = [1]", r"expected a table \[\[dataset\]\] for each dataset, not 1"),
        ("[[dataset]]\ndata = 'davis'\nprotocol = 'd'", "--protocol d: unknown"),
        ("[[dataset]]\ndata = 'davis'\n" * 2, "two datasets are called 'davis'"),
        ("[[dataset]]\ndata = 'davis'\ncompare = {a = 'none'}", "none: no such folder of results"),
        ("[[dataset]]\ndata = 'nowhere'", "nowhere: no such folder"),
    ],
)
def test_a_wrong_suite_file_gets_one_line(root, tmp_path, capsys, text, complaint):
    (tmp_path / "suite.toml").write_text(text)
    assert run_eval("--suite", tmp_path / "suite.toml", "--out", tmp_path / "out") == 2
    error = capsys.readouterr().err
    assert len(error.splitlines()) == 1
    assert re.search(complaint, error)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ([], "name either --data"),
        (["--suite", "a.toml", "--data", "b"], "name either --data"),
        (["--suite", "a.toml", "--cut", "3"], "--cut belongs to a dataset of the suite"),
        (["--suite", "a.toml"], "a.toml: cannot be read"),
        (["--data", "DAVIS", "--results", "none"], "none: no such folder of results"),
        (["--data", "DAVIS", "--flow", "made", "--checkpoint", "otsu", "otsu"], "two methods"),
        (["--data", "DAVIS", "--flow", "made", "--compare", "=a"], "=a: expected NAME=FOLDER"),
        (["--data", "DAVIS", "--flow", "made", "--num-masks", "3"], "--num-masks 3: otsu has 2"),
        (["--data", "DAVIS", "--results", "DAVIS", "--num-masks", "0"], "--num-masks 0: expected"),
        (["--data", "DAVIS", "--flow", "made", "--num-masks", "auto"], "auto: otsu has 2 masks"),
        (["--data", "DAVIS", "--results", "DAVIS", "--num-masks", "auto"], "expected a number"),
        (["--data", "DAVIS", "--flow", "made", "--split", ""], "split '': expected the name"),
    ],
)
def test_options_that_do_not_go_together(root, tmp_path, capsys, options, complaint):
    options = [root if option == "DAVIS" else option for option in options]
    assert run_eval(*options, "--out", tmp_path / "out") == 2
    error = capsys.readouterr().err
    assert len(error.splitlines()) == 1
    assert complaint in error


def test_paths_of_a_suite_are_relative_to_its_file(root, tmp_path, monkeypatch):
    (tmp_path / "suite.toml").write_text("[[dataset]]\ndata = 'davis'\nselect = 'overlap'")
    monkeypatch.chdir("/")
    (plan,) = read_suite(tmp_path / "suite.toml")
    assert (plan.root, plan.protocol.select) == (tmp_path / "davis", "overlap")


def test_a_suite_file_may_begin_with_the_mark_of_an_editor(root, tmp_path):
    (tmp_path / "suite.toml").write_text("\ufeff[[dataset]]\ndata = 'davis'  # ours\n")
    assert [plan.name for plan in read_suite(tmp_path / "suite.toml")] == ["davis"]


def test_a_baseline_may_have_a_name_of_its_own(root, tmp_path):
    arguments = ["--data", root, "--flow", "made", "--baselines", "none", "--num-masks", "2"]
    checkpoints = ["--checkpoint", "A=otsu", "B=all_background"]
    assert run_eval(*arguments, *checkpoints, "--out", tmp_path / "named") == 0
    assert run_eval(*arguments, "--checkpoint", "otsu", "--out", tmp_path / "plain") == 0
    named, plain = scores_of(tmp_path / "named"), scores_of(tmp_path / "plain")
    assert named["method"] == "A"
    assert named["sequences"] == plain["sequences"]
    assert list(named["others"] | named["baselines"]) == ["B"]


def test_what_a_name_stands_for_is_part_of_what_a_suite_keeps(root, tmp_path):
    (tmp_path / "suite.toml").write_text("[[dataset]]\ndata = 'davis'\nflow = 'made'")
    found = []
    for baseline in ("otsu", "all_background"):
        arguments = ["--suite", tmp_path / "suite.toml", "--checkpoint", f"A={baseline}"]
        assert run_eval(*arguments, "--baselines", "none", "--out", tmp_path / "out") == 0
        found.append(scores_of(tmp_path / "out")["J_mean"])
    assert found[0] > 0.8
    assert found[1] == 0


def test_scores_are_written_in_a_time_that_is_linear_in_the_sequences(monkeypatch, tmp_path):
    """A sequence takes a second, a writing of n sequences n / 100: all at once is the least."""
    clock, spent = [0.0], [0.0]

    def write(folder, evaluation):
        clock[0] += len(evaluation.datasets[0].runs) / 100
        spent[0] += len(evaluation.datasets[0].runs) / 100

    monkeypatch.setattr(evaluation_folder.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(evaluation_folder, "write_scores", write)
    scores, one = evaluation_folder.Scores(tmp_path), run_of("m", {"a": [1.0]})
    for done in range(1, 2001):
        clock[0] += 1
        scores.update(Evaluation((Dataset("d", "", "", {}, "frame", (), (), (one,) * done),)))
    assert spent[0] < 0.12 * 2000 + 20  # every time: 20,010
    assert spent[0] > 20  # and it has not waited for the end
