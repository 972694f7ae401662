"""Goes through methods, datasets and sequences, a result at a time; can take a run up again."""

import hashlib
import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np

from jaxmotion.data.masks import write_label_pictures
from jaxmotion.errors import InputError
from jaxmotion.evaluation.comparison import paired_differences
from jaxmotion.evaluation.discovery import look_for_sequences
from jaxmotion.evaluation.methods import Baseline, Method, Network, Video, stamps
from jaxmotion.evaluation.protocol import Protocol
from jaxmotion.evaluation.published import published_scores
from jaxmotion.evaluation.results import Dataset, Evaluation, Failure, Run
from jaxmotion.evaluation.results_json import FORMAT, sequence_from_dict, to_json
from jaxmotion.evaluation.scoring import score_labels
from jaxmotion.evaluation.sequence_scores import SequenceScores
from jaxmotion.evaluation.sequences import ScoredSequence
from jaxmotion.files import atomic_path
from jaxmotion.metrics.masks import unpack
from jaxmotion.output_folder import replaced_folder
from jaxmotion.report.pictures import write_pictures

MASK_FOLDERS = ("masks", "segments")


@dataclass(frozen=True)
class DatasetPlan:
    """A dataset to evaluate on.

    Attributes:
        name: Unique, a name for folders.
        root: Folder laid out like DAVIS, or `tfds:NAME/CONFIG`.
        flow: Folder of `root/Flows`; None compares masks alone.
        protocol: How it is scored.
        sequences: Only these.
        split: Or those of a list.
        methods: Result folders of this dataset alone.
    """

    name: str
    root: Path
    flow: str | None
    protocol: Protocol
    sequences: tuple[str, ...] = ()
    split: str | None = None
    methods: tuple[Method, ...] = ()


@dataclass(frozen=True)
class Options:
    """What an evaluation leaves behind.

    Attributes:
        resume: Keep the result of every sequence, and take it from there if all its inputs are
            what they were.
        write_masks: Write masks and segments as indexed PNG.
        pictures: Write what the report shows.
        include_frames: Show the video frames in the report, of the sequences that have any.
        on_progress: Told what is being computed.
        on_failure: Told, in one line, what went wrong with a sequence.
    """

    resume: bool = False
    write_masks: bool = False
    pictures: bool = True
    include_frames: bool = False
    on_progress: Callable[[str], None] = lambda text: None
    on_failure: Callable[[str], None] = lambda line: None


@dataclass
class _Known:
    """What is known so far of one method on one dataset."""

    scores: dict[str, SequenceScores] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)

    def run(self, method: Method, names: Sequence[str]) -> Run:
        """As a part of the results."""
        left = [name for name in names if name not in self.scores and name not in self.failures]
        return Run(
            method=method.name,
            kind=method.kind,
            source=method.source,
            sequences=tuple(self.scores[name] for name in names if name in self.scores),
            failures=tuple(Failure(name, reason) for name, reason in self.failures.items()),
            missing=tuple(left),
        )


def evaluate(
    out: Path,
    plans: Sequence[DatasetPlan],
    methods: Sequence[Method],
    options: Options = Options(),
) -> Iterator[Evaluation]:
    """Segments and scores method after method, dataset after dataset, sequence after sequence.

    A sequence that cannot be read or scored becomes a failure of its run, and the next one follows.

    Args:
        out: Where pictures, masks and the state go.
        plans: The datasets.
        methods: What is scored on all of them, in the order of the columns.
        options: What is left behind.

    Yields:
        All that is known after each sequence.

    Raises:
        InputError: Nothing of a dataset can be found, or a checkpoint cannot be loaded.
    """
    found = {
        plan.name: look_for_sequences(plan.root, plan.flow, plan.sequences, plan.split)
        for plan in plans
    }
    known = {
        (plan.name, method.name): _Known(failures=dict(found[plan.name][1]))
        for plan in plans
        for method in columns(plan, methods)
    }
    for _, missing in found.values():
        for reason in missing.values():
            options.on_failure(reason)
    # One network is in memory at a time; what needs none goes with the first.
    networks = [method for method in methods if isinstance(method, Network)]
    for network in networks or [None]:
        for plan in plans:
            group: list[Method] = [network] if network is not None else []
            if network is None or network is networks[0]:
                group += [m for m in columns(plan, methods) if not isinstance(m, Network)]
            for sequence in found[plan.name][0]:
                _evaluate_sequence(out, plan, sequence, group, known, options)
                yield _tree(plans, methods, found, known)
        if network is not None:
            network.release()


def columns(plan: DatasetPlan, methods: Sequence[Method]) -> list[Method]:
    """All methods of a dataset: those evaluated, its own result folders, baselines."""
    evaluated = [method for method in methods if not isinstance(method, Baseline)]
    baselines = [method for method in methods if isinstance(method, Baseline)]
    return [*evaluated, *plan.methods, *baselines]


def _evaluate_sequence(
    out: Path,
    plan: DatasetPlan,
    sequence: ScoredSequence,
    methods: Sequence[Method],
    known: dict[tuple[str, str], _Known],
    options: Options,
) -> None:
    """Scores a sequence by several methods, but for those whose result is kept."""
    pending: list[tuple[Method, Path, str]] = []
    data = _data_stamps(sequence, options) if options.resume else []
    for method in methods:
        state = out / "state" / plan.name / method.name / f"{sequence.name}.json"
        inputs = _digest(plan, method, sequence, data, options) if options.resume else ""
        kept = _kept(out, state, inputs) if options.resume else None
        if kept is None:
            pending.append((method, state, inputs))
        else:
            known[plan.name, method.name].scores[sequence.name] = kept
    if not pending:
        return
    reasons: dict[str, None] = {}
    try:
        video = _read(plan, sequence)
    except InputError as error:
        reasons[str(error)] = None
        for method, _, _ in pending:
            known[plan.name, method.name].failures[sequence.name] = str(error)
    else:
        for method, state, inputs in pending:
            options.on_progress(f"{plan.name} {sequence.name}: {method.name}")
            progress = known[plan.name, method.name]
            try:
                scores = _evaluate_method(out, plan, video, method, options)
            except InputError as error:
                reason = str(error)
                if sequence.name not in reason:
                    reason = f"{sequence.name}: {reason}"
                reasons[reason] = None
                progress.failures[sequence.name] = reason
                continue
            progress.scores[sequence.name] = scores
            if options.resume:
                text = json.dumps({"inputs": inputs, "scores": json.loads(to_json(scores))})
                with atomic_path(state) as path:
                    path.write_text(text, encoding="utf-8")
    for reason in reasons:
        options.on_failure(reason)


def _read(plan: DatasetPlan, sequence: ScoredSequence) -> Video:
    flow, valid = sequence.read_flow() if sequence.has_flow else (None, None)
    num_flows = len(flow) if flow is not None else None
    annotation, num_frames = sequence.read_annotation(plan.protocol, num_flows)
    if flow is not None:
        sequence.check_shape(flow.shape[1:3], annotation.size)
    return Video(sequence, flow, annotation, num_frames, valid)


def _evaluate_method(
    out: Path, plan: DatasetPlan, video: Video, method: Method, options: Options
) -> SequenceScores:
    labelled = method.label(video, plan.protocol)
    protocol = plan.protocol
    if labelled.select is not None:
        protocol = replace(protocol, select=labelled.select)
    name, labels = video.sequence.name, labelled.labels
    scores, packed = score_labels(
        name,
        labels,
        video.annotation,
        protocol,
        labelled.num_labels,
        labelled.background,
        video.flow,
        video.valid,
    )
    if isinstance(method, Baseline) or not (options.write_masks or options.pictures):
        return scores  # pictures and masks are of what was evaluated
    foreground = unpack(packed, labels.shape[2])
    if options.write_masks:
        names = video.sequence.record.frame_names(len(labels))
        folders = mask_folders(out, plan.name, method.name, name)
        # The official tools take 0 for background, which no segment is.
        matched = protocol.target == "objects" and labelled.background is None
        masks = labels + np.uint8(1) if matched else foreground.astype(np.uint8)
        if protocol.target == "objects" and not matched:
            masks = labels
        for folder, pictures in zip(folders, (masks, labels), strict=True):
            with replaced_folder(folder) as new:
                write_label_pictures(new, names, pictures)
    if options.pictures:
        folder = Path("pictures") / plan.name / name / method.name
        scores = replace(scores, pictures=folder.as_posix())
        annotated = np.flatnonzero(video.annotation.frames < len(labels))
        shows_video = options.include_frames and video.sequence.has_frames
        size = video.annotation.size
        read_frame = partial(video.sequence.read_frame, size=size) if shows_video else None
        gt = video.annotation.select(annotated).shown()
        write_pictures(out / folder, scores, video.flow, labels, foreground, gt, read_frame)
    return scores


def mask_folders(out: Path, plan: str, method: str, sequence: str) -> list[Path]:
    """Where the masks and the segments of a sequence go."""
    return [out / part / plan / method / sequence for part in MASK_FOLDERS]


def remove_outdated_masks(files: Iterable[Path], out: Path, evaluation: Evaluation) -> None:
    """Removes masks and segments of what an evaluation has no scores of.

    Args:
        files: those of an earlier evaluation in the same folder.
        out: the folder.
        evaluation: the new one; its own masks stay.

    Raises:
        InputError: a file cannot be removed.
    """
    kept = {
        folder
        for dataset in evaluation.datasets
        for run in dataset.runs
        for sequence in run.sequences
        for folder in mask_folders(out, dataset.name, run.method, sequence.name)
    }
    for file in files:
        if kept.isdisjoint(file.parents):
            try:
                file.unlink(missing_ok=True)
            except OSError as error:
                raise InputError(f"{file}: cannot be removed ({error.strerror})") from error
            for folder in itertools.takewhile(lambda folder: folder != out, file.parents):
                with suppress(OSError):  # not empty
                    folder.rmdir()


def _data_stamps(sequence: ScoredSequence, options: Options) -> list:
    paths = sequence.files(options.include_frames)
    names = [path.name for path in sequence.record.frame_paths]  # say of which frame a mask is
    return [names, *(stamps(path) for path in paths)]


def _digest(
    plan: DatasetPlan, method: Method, sequence: ScoredSequence, data: list, options: Options
) -> str:
    """A short name of everything that a result depends on."""
    inputs = {
        "format": FORMAT,
        "protocol": asdict(plan.protocol),
        "method": [type(method).__name__, method.kind, method.source, method.inputs(sequence)],
        "data": data,
        "left": [options.write_masks, options.pictures, options.include_frames],
    }
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()


def _kept(out: Path, state: Path, inputs: str) -> SequenceScores | None:
    """The result of an earlier run on the same inputs, if its pictures are there as well."""
    try:
        values = json.loads(state.read_text(encoding="utf-8"))
        if values["inputs"] != inputs:
            return None
        scores = sequence_from_dict(values["scores"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    there = scores.pictures is None or (out / scores.pictures).is_dir()
    return scores if there else None


def _tree(
    plans: Sequence[DatasetPlan],
    methods: Sequence[Method],
    found: dict[str, tuple[list[ScoredSequence], dict[str, str]]],
    known: dict[tuple[str, str], _Known],
) -> Evaluation:
    datasets = []
    for plan in plans:
        names = [*(sequence.name for sequence in found[plan.name][0]), *found[plan.name][1]]
        runs = tuple(
            known[plan.name, method.name].run(method, names) for method in columns(plan, methods)
        )
        published = published_scores(plan.protocol.published)
        measures, average = plan.protocol.measures, plan.protocol.average
        datasets.append(
            Dataset(
                name=plan.name,
                root=str(plan.root),
                flow=plan.flow or "",
                protocol=asdict(plan.protocol),
                average=average,
                measures=measures,
                sequences=tuple(names),
                runs=runs,
                published=published,
            )
        )
    return Evaluation(tuple(datasets))


def with_differences(evaluation: Evaluation) -> Evaluation:
    """The same with the paired differences of every dataset."""
    return Evaluation(
        tuple(
            replace(
                dataset,
                differences=paired_differences(
                    dataset.runs, dataset.published, dataset.measures, dataset.average
                ),
            )
            for dataset in evaluation.datasets
        )
    )
