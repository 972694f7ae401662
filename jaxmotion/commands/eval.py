"""``jaxmotion eval``: scores segmentations on folders laid out like DAVIS."""

import logging
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import tyro
from tqdm import tqdm

from jaxmotion.baselines.threshold import BASELINES
from jaxmotion.commands.parsing import parse_options
from jaxmotion.errors import InputError
from jaxmotion.evaluation.davis import left_out, look_for_sequences
from jaxmotion.evaluation.methods import (
    ALL_BASELINES,
    Baseline,
    Method,
    Network,
    baseline_predictor,
    check_baselines,
    stamps,
)
from jaxmotion.evaluation.plans import named_path, plan_name, read_suite, result_folders
from jaxmotion.evaluation.protocol import preset
from jaxmotion.evaluation.results import Evaluation
from jaxmotion.evaluation.results_json import from_json
from jaxmotion.evaluation.suite import (
    MASK_FOLDERS,
    DatasetPlan,
    Options,
    columns,
    evaluate,
    remove_outdated_masks,
    with_differences,
)
from jaxmotion.evaluation.tables import (
    ScoreWriter,
    format_differences,
    format_table,
    score_table,
    write_scores,
)
from jaxmotion.inference.segmenter import Segmenter
from jaxmotion.models.trained import find_trained
from jaxmotion.output_folder import Results
from jaxmotion.report.page import write_report
from jaxmotion.training.compilation_cache import enable_compilation_cache

DEFAULT_METHOD = "otsu"
# What is written without being asked for.
SCORES = (
    "scores.json", "scores.csv", "frames.csv", "datasets.csv", "evaluation.json", "report.html",
)  # fmt: skip
PUBLISHED_COLUMNS = 3  # that fit a terminal; the report has all

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class EvalConfig:
    """Scores segmenters, or the masks of other methods, beside training-free baselines.

    Attributes:
        out: where scores.json, scores.csv, report.html and the rest go.
        data: folder with Annotations/480p/SEQ/*.png and Flows/NAME/SEQ.npz (or SEQ/*.flo).
        suite: several datasets instead, a TOML file; what is scored already is not scored again.
        checkpoint: names of shipped models (`jaxmotion models` lists them) or of baselines,
            training runs' folders, files that `jaxmotion export` wrote; NAME=FOLDER names one.
            Otsu's threshold if nothing else is to be scored.
        results: folders of masks SEQ/FRAME.png to score, or NAME=FOLDER; without a checkpoint, and
            without Flows, nothing else.
        compare: the same, as columns beside what is scored.
        protocol: davis2016, segtrack_v2, fbms59, moca, davis2017_motion or fbms59_multi.
        flow: which flow, a folder of Flows.
        select: which segments are the foreground: salient, except_largest, best_subset, overlap,
            linear_assignment, or nonzero (what results default to).
        cut: frames segmented at once and selected together; 0 is the whole sequence.
        num_masks: another K than in training, for a network with slots; of results, how many labels
            there may be.
        frames: score every frame that has a flow, or leave out the first as the official
            benchmark does.
        sequences: only these.
        split: or those of ImageSets/SPLIT.txt.
        baselines: which to compare with; "none" for none.
        write_masks: write the masks and the segments as indexed PNG.
        include_frames: show the video frames in the report.
    """

    out: Path
    data: Path | None = None
    suite: Path | None = None
    checkpoint: tuple[str, ...] = ()
    results: tuple[str, ...] = ()
    compare: tuple[str, ...] = ()
    protocol: str = "davis2016"
    flow: str = "raft"
    select: str | None = None
    cut: int | None = None
    num_masks: int | None = None
    frames: Literal["flow", "official"] | None = None
    sequences: tuple[str, ...] = ()
    split: str | None = None
    baselines: tuple[str, ...] = ALL_BASELINES
    write_masks: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    include_frames: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False


def main(argv: Sequence[str], prog: str = "jaxmotion eval") -> None:
    """Evaluates, writes the results and prints the tables.

    What goes wrong with one sequence is said in a line, and the others follow. What is done when
    the run is interrupted is kept; anything that lacks a sequence is marked as partial.

    Args:
        argv: the options.
        prog: the command as it was typed.

    Raises:
        InputError: an option or a file is not what was expected.
    """
    config = parse_options(EvalConfig, argv, prog=prog)
    check_baselines(() if config.baselines == ("none",) else config.baselines)
    plans = read_plans(config)
    methods = with_baselines(config, plans, read_methods(config))
    for plan in plans:
        names = [method.name for method in columns(plan, methods)]
        for name in names:
            if names.count(name) > 1:
                raise InputError(f"two methods are called {name!r}: NAME=FOLDER gives another name")
    count = sum(
        len(look_for_sequences(plan.root, plan.flow, plan.sequences, plan.split)[0])
        for plan in plans
    )
    networks = [method for method in methods if isinstance(method, Network)]
    if networks and config.suite is None:
        networks[0].prepare()
    for plan in plans:
        if not plan.sequences and plan.split is None:
            for line in left_out(plan.root, plan.flow):
                _log.warning("%s", line)
    names = (*SCORES, *(MASK_FOLDERS if config.write_masks else ()))
    results = Results(
        config.out, "eval", names, of_an_earlier_version=of_an_earlier_version(config.out)
    )
    failures: dict[str, None] = {}
    started, evaluation = time.time(), None
    read = inputs(config, plans)
    with results.claimed(read):
        enable_compilation_cache()
        earlier_masks = [
            file
            for file in results.known_files(MASK_FOLDERS)
            if {path.resolve() for path in read}.isdisjoint(file.resolve().parents)
        ]
        total = count * max(1, len(networks))
        with results.in_place(), tqdm(total=total, unit="sequence", dynamic_ncols=True) as bar:
            options = Options(
                resume=config.suite is not None,
                write_masks=config.write_masks,
                include_frames=config.include_frames,
                on_progress=bar.set_description,
                on_failure=lambda line: failures.update({line: None}),
            )
            scores = ScoreWriter(config.out)
            try:
                for evaluation in evaluate(config.out, plans, methods, options):
                    if has_scores(evaluation):
                        scores.write(evaluation)
                    bar.update()
            finally:
                bar.close()
                if evaluation is not None and has_scores(evaluation):
                    kept = evaluation if config.write_masks else Evaluation(())
                    remove_outdated_masks(earlier_masks, config.out, kept)
                    finish(config.out, with_differences(evaluation), time.time() - started)
    *lines, last = failures or [""]
    for line in lines:
        print(f"error: {line}", file=sys.stderr)
    if last:
        raise InputError(last)


def read_plans(config: EvalConfig) -> list[DatasetPlan]:
    """The datasets to evaluate on.

    Raises:
        InputError: neither data nor a suite is named, or both, or what they say is wrong.
    """
    if (config.suite is None) == (config.data is None):
        raise InputError("name either --data, a folder laid out like DAVIS, or --suite, a file")
    if config.suite is not None:
        alone = EvalConfig(out=config.out)
        for name in ("protocol", "flow", "select", "cut", "frames", "sequences", "split"):
            if getattr(config, name) != getattr(alone, name):
                raise InputError(f"--{name} belongs to a dataset of the suite: say it in the file")
        return read_suite(config.suite)
    assert config.data is not None
    protocol = preset(config.protocol, select=config.select, cut=config.cut, frames=config.frames)
    only_masks = config.results and not config.checkpoint
    flow = None if only_masks and not (config.data / "Flows").is_dir() else config.flow
    name = plan_name(config.data.resolve().name)
    return [DatasetPlan(name, config.data, flow, protocol, config.sequences, config.split)]


def read_methods(config: EvalConfig) -> list[Method]:
    """What is scored, without the baselines to compare with."""
    checkpoints = config.checkpoint or (() if config.results else (DEFAULT_METHOD,))
    networks: list[Method] = [network(text, config.num_masks) for text in checkpoints]
    folders = result_folders(config.results, config.select, config.num_masks)
    return [*networks, *folders, *result_folders(config.compare)]


def network(checkpoint: str, num_masks: int | None = None) -> Network:
    """A predictor by the name of a baseline, or a checkpoint.

    Args:
        checkpoint: the name of a baseline, or anything that `Segmenter.load` takes, or NAME= that.
        num_masks: as `Segmenter.load`; baselines have two.

    Raises:
        InputError: there is no such checkpoint, or it cannot have so many masks.
    """
    if checkpoint in BASELINES:
        name, baseline = checkpoint, checkpoint
    else:
        name, named = named_path(checkpoint)
        baseline = str(named)
    if baseline in BASELINES:
        if num_masks not in (None, 2):
            raise InputError(f"--num-masks {num_masks}: {baseline} has 2 masks, expected no other")
        load, identity = partial(baseline_predictor, baseline), {"baseline": baseline}
        return Network(name, load, kind="baseline", identity=identity)
    path = find_trained(named)
    if "=" not in checkpoint and path.is_file():
        name = plan_name(path.stem)
    elif "=" not in checkpoint and path.resolve().name == "best":
        name = plan_name(path.resolve().parent.name)
    best = path / "best"
    identity = {"num_masks": num_masks, "files": stamps(best if best.is_dir() else path)}
    load = partial(Segmenter.load, str(path), num_masks=num_masks)
    return Network(name, load, source=str(named), identity=identity)


def with_baselines(
    config: EvalConfig, plans: list[DatasetPlan], methods: list[Method]
) -> list[Method]:
    """Baselines where there is flow, but for those that are scored as a method already."""
    names = () if config.baselines == ("none",) else config.baselines
    if any(plan.flow is None for plan in plans):
        names = ()
    there = {method.name for method in methods}
    return [*methods, *(Baseline(name) for name in names if name not in there)]


def inputs(config: EvalConfig, plans: list[DatasetPlan]) -> list[Path]:
    """Folders that are read, and that results must not replace."""
    folders = [
        plan.root / name for plan in plans for name in ("Annotations", "Flows", "JPEGImages")
    ]
    named = (text.partition("=")[2] or text for text in (*config.results, *config.compare))
    return [*folders, *map(Path, named)]


def of_an_earlier_version(out: Path) -> Callable[[Path], bool]:
    """Tells the results of a version that left no mark beside them: there is an evaluation."""
    try:
        datasets = from_json((out / "evaluation.json").read_text(encoding="utf-8")).datasets
    except (OSError, ValueError):
        return lambda file: False
    masks = [out / part / dataset.name for part in MASK_FOLDERS for dataset in datasets]
    return lambda file: file.parent == out or not set(masks).isdisjoint(file.parents)


def has_scores(evaluation: Evaluation) -> bool:
    """Whether there is anything to write."""
    return any(run.sequences for dataset in evaluation.datasets for run in dataset.runs)


def finish(out: Path, evaluation: Evaluation, seconds: float) -> None:
    """Writes the scores and the report, and prints the tables."""
    write_scores(out, evaluation)
    write_report(out, evaluation)
    for dataset in evaluation.datasets:
        if len(evaluation.datasets) > 1:
            print(f"{dataset.name} ({dataset.protocol['name']}, cut {dataset.protocol['cut']})")
        for measure in dataset.measures:
            statistic = f"{measure}_mean"
            table = score_table(dataset, statistic, max_published=PUBLISHED_COLUMNS)
            if table:
                print(format_table(table, measure), end="\n\n")
            differences = format_differences(dataset, statistic)
            if differences:
                print(differences, end="\n\n")
    done = sum(len(run.sequences) for d in evaluation.datasets for run in d.runs[:1])
    wanted = sum(len(dataset.sequences) for dataset in evaluation.datasets)
    print(
        f"{done} of {wanted} sequences in {seconds:.0f} s: "
        f"{out}/scores.json, scores.csv, report.html"
    )
