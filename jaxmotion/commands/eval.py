"""``jaxmotion eval``: scores segmentations on folders laid out like DAVIS."""

import logging
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from jaxmotion.baselines import ALL_BASELINES
from jaxmotion.commands.parsing import parse_options
from jaxmotion.errors import InputError

if TYPE_CHECKING:
    from jaxmotion.evaluation import DatasetPlan, Evaluation
    from jaxmotion.evaluation.methods import Method

DEFAULT_METHOD = "otsu"
PUBLISHED_COLUMNS = 3  # that fit a terminal; the report has all

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class EvalConfig:
    """Scores segmenters, or the masks of other methods, beside training-free baselines.

    Attributes:
        out: folder for scores.json, scores.csv, report.html and the rest.
        data: folder with Annotations/480p/SEQ/*.png and Flows/NAME/SEQ.npz (or SEQ/*.flo); or
            tfds:NAME/CONFIG, a data set that jaxmotion_datasets built.
        suite: a TOML file with several datasets, instead of data; what is scored already is not
            scored again.
        checkpoint: networks to score: names of shipped models (`jaxmotion models` lists them) or of
            baselines, folders of training runs, files that `jaxmotion export` wrote; NAME=FOLDER
            gives one a name. Otsu's threshold if nothing else is to be scored.
        results: folders of masks SEQ/FRAME.png to score, or NAME=FOLDER. Without a checkpoint and
            without Flows nothing else is scored.
        compare: folders of masks, as in results, to show as columns beside what is scored.
        protocol: rules of scoring: davis2016, segtrack_v2, fbms59, moca, davis2017_motion or
            fbms59_multi; davis2016, or that of the built data set, if not given.
        flow: name of the folder of Flows that holds the flow.
        select: rule that selects the foreground segments: salient, except_largest, best_subset,
            overlap, linear_assignment, or nonzero (what results default to).
        cut: number of frames segmented at once and selected together; 0 is the whole sequence.
        num_masks: number of masks of a network with slots, if not as in training; auto for as many
            as describe each cut most briefly; for results, the number of labels that there may be.
        sharpen: let the outlines of the masks follow the frames, as `jaxmotion segment` does;
            sequences without frames cannot be scored then.
        frames: annotated frames to score: all that have a flow (flow), or those of the official
            benchmark, which may leave out the first (official).
        sequences: names of the sequences to score; all if not given.
        split: name of the split to score instead: ImageSets/SPLIT.txt, or a split of a built data
            set.
        baselines: baselines to compare with; "none" for none.
        write_masks: write the masks and the segments as indexed PNG files.
        include_frames: show the video frames in the report.
        by: groups to tell the scores apart by: the attributes that the sequences of DAVIS 2016 have
            (attributes), and frames that are hard for a reason which masks and flow show (strata).
        stability: also measure T, the temporal stability of the foreground's outline, as DAVIS
            does; it takes seconds a sequence.
    """

    out: Path
    data: Path | None = None
    suite: Path | None = None
    checkpoint: tuple[str, ...] = ()
    results: tuple[str, ...] = ()
    compare: tuple[str, ...] = ()
    protocol: str | None = None
    flow: str = "raft"
    select: str | None = None
    cut: int | None = None
    num_masks: int | Literal["auto"] | None = None
    sharpen: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    frames: Literal["flow", "official"] | None = None
    sequences: tuple[str, ...] = ()
    split: str | None = None
    baselines: tuple[str, ...] = ALL_BASELINES
    write_masks: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    include_frames: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    by: tuple[Literal["attributes", "strata"], ...] = ()
    stability: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False


def main(argv: Sequence[str], prog: str = "jaxmotion eval") -> None:
    """Evaluates, writes the results and prints the tables.

    What goes wrong with one sequence is said in a line, and the others follow. What is done when
    the run is interrupted is kept; anything that lacks a sequence is marked as partial.

    Args:
        argv: the arguments, without the program's name.
        prog: the command as it was typed.

    Raises:
        InputError: an option or a file is not what was expected.
    """
    config = parse_options(EvalConfig, argv, prog=prog)
    from tqdm import tqdm

    from jaxmotion.evaluation import Options, evaluate
    from jaxmotion.evaluation.folder import kept_scores
    from jaxmotion.report.layers import write_layers
    from jaxmotion.training.compilation_cache import enable_compilation_cache

    plans = _read_plans(config)
    methods = _read_methods(config, plans)
    total = _check(config, plans, methods)
    enable_compilation_cache()
    started, failures = time.time(), {}
    with (
        kept_scores(
            config.out, _reads(config, plans), partial(_finish, started), masks=config.write_masks
        ) as scores,
        tqdm(total=total, unit="sequence", dynamic_ncols=True) as bar,
    ):
        options = Options(
            resume=config.suite is not None,
            write_masks=config.write_masks,
            write_pictures=write_layers,
            include_frames=config.include_frames,
            by=config.by,
            stability=config.stability,
            on_progress=bar.set_description,
            on_failure=lambda line: failures.update({line: None}),
        )
        for evaluation in evaluate(config.out, plans, methods, options):
            scores.update(evaluation)
            bar.update()
    *lines, last = failures or [""]
    for line in lines:
        print(f"error: {line}", file=sys.stderr)
    if last:
        raise InputError(last)


def _read_plans(config: EvalConfig) -> "list[DatasetPlan]":
    """The datasets to evaluate on.

    Raises:
        InputError: neither data nor a suite is named, or both, or what they say is wrong.
    """
    from jaxmotion.evaluation.discovery import open_data
    from jaxmotion.evaluation.plan import DatasetPlan
    from jaxmotion.evaluation.protocol import preset
    from jaxmotion.evaluation.suite import plan_name, read_suite

    if (config.suite is None) == (config.data is None):
        raise InputError("name either --data, a folder laid out like DAVIS, or --suite, a file")
    if config.data is None:
        alone = EvalConfig(out=config.out)
        for name in ("protocol", "flow", "select", "cut", "frames", "sequences", "split"):
            if getattr(config, name) != getattr(alone, name):
                raise InputError(f"--{name} belongs to a dataset of the suite: say it in the file")
        return read_suite(config.suite or "")
    data = open_data(config.data)
    protocol = preset(
        config.protocol or data.protocol,
        select=config.select,
        cut=config.cut,
        frames=config.frames,
    )
    only_masks = config.results and not config.checkpoint
    flow = None if only_masks and not data.has_flows else config.flow
    name = plan_name(data.name)
    return [DatasetPlan(name, config.data, flow, protocol, config.sequences, config.split)]


def _read_methods(config: EvalConfig, plans: "Sequence[DatasetPlan]") -> "list[Method]":
    """The methods to score: networks, folders, and where there is flow the baselines."""
    from jaxmotion.evaluation.methods import Baseline
    from jaxmotion.evaluation.suite import network, result_folders

    baselines = [Baseline(name) for name in config.baselines if config.baselines != ("none",)]
    checkpoints = config.checkpoint or (() if config.results else (DEFAULT_METHOD,))
    if config.sharpen and not checkpoints:
        raise InputError(
            "--sharpen: expected with --checkpoint; masks of results are what they are"
        )
    methods = [
        *(
            replace(network(text, config.num_masks), sharpened=config.sharpen)
            for text in checkpoints
        ),
        *result_folders(config.results, config.select, config.num_masks),
        *result_folders(config.compare),
    ]
    there = {method.name for method in methods}
    with_flow = all(plan.flow is not None for plan in plans)
    return [*methods, *(b for b in baselines if with_flow and b.name not in there)]


def _check(config: EvalConfig, plans: "Sequence[DatasetPlan]", methods: "Sequence[Method]") -> int:
    """Tells what is wrong before anything is computed; gives the number of sequences to come."""
    from jaxmotion.evaluation.discovery import open_data
    from jaxmotion.evaluation.methods import Network

    for plan in plans:
        names = [method.name for method in plan.columns(methods)]
        for name in names:
            if names.count(name) > 1:
                raise InputError(f"two methods are called {name!r}: NAME=FOLDER gives another name")
    count = sum(len(plan.find()[0]) for plan in plans)
    networks = [method for method in methods if isinstance(method, Network)]
    if networks and config.suite is None:
        _ = networks[0].predictor  # loads it
    for plan in plans:
        if not plan.sequences and plan.split is None:
            for line in open_data(plan.root).left_out(plan.flow):
                _log.warning("%s", line)
    return count * max(1, len(networks))


def _reads(config: EvalConfig, plans: "Sequence[DatasetPlan]") -> list[Path]:
    """Folders that are read, and that results must not replace."""
    from jaxmotion.evaluation.discovery import open_data

    folders = [folder for plan in plans for folder in open_data(plan.root).folders]
    named = (text.partition("=")[2] or text for text in (*config.results, *config.compare))
    return [*folders, *map(Path, named)]


def _finish(started: float, out: Path, evaluation: "Evaluation") -> None:
    """Writes the report, and prints the tables."""
    from jaxmotion.evaluation.score import STABILITY
    from jaxmotion.evaluation.tables import (
        format_differences,
        format_table,
        group_tables,
        score_table,
    )
    from jaxmotion.report.page import write_report

    write_report(out, evaluation)
    for dataset in evaluation.datasets:
        if len(evaluation.datasets) > 1:
            print(f"{dataset.name} ({dataset.protocol['name']}, cut {dataset.protocol['cut']})")
        titles = {f"{measure}_mean": measure for measure in dataset.measures}
        titles[STABILITY] = "T, lower is better"
        for statistic, title in titles.items():
            table = score_table(dataset, statistic, max_published=PUBLISHED_COLUMNS)
            texts = (
                format_table(table, title) if table else "",
                format_differences(dataset, statistic),
            )
            for text in filter(None, texts):
                print(text, end="\n\n")
        statistic = f"{dataset.measures[0]}_mean"
        for unit, table in group_tables(dataset, statistic).items():
            print(format_table(table, f"{dataset.measures[0]}, {unit}"), end="\n\n")
    done = sum(len(run.sequences) for d in evaluation.datasets for run in d.runs[:1])
    wanted = sum(len(dataset.sequences) for dataset in evaluation.datasets)
    print(
        f"{done} of {wanted} sequences in {time.time() - started:.0f} s: "
        f"{out}/scores.json, scores.csv, report.html"
    )
