"""Goes through methods, datasets and sequences, a result at a time; can take a run up again."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np

from jaxmotion.errors import InputError
from jaxmotion.evaluation.comparison import published_scores
from jaxmotion.evaluation.folder import write_masks
from jaxmotion.evaluation.groups import is_stability_measured
from jaxmotion.evaluation.methods import AnnotatedVideo, Baseline, Method, Network
from jaxmotion.evaluation.plan import DatasetPlan, Options
from jaxmotion.evaluation.results import Dataset, Evaluation, Failure, Run
from jaxmotion.evaluation.score import SequenceScores, score_labels
from jaxmotion.evaluation.sequences import ScoredSequence
from jaxmotion.evaluation.statistics import mean_of
from jaxmotion.evaluation.strata import Strata, find_strata
from jaxmotion.files import atomic_path, stamps
from jaxmotion.metrics.masks import unpack
from jaxmotion.metrics.shape_stability import temporal_stability
from jaxmotion.options import from_json, to_json

_FORMAT = 1


@dataclass
class _Column:
    """The results so far of one method on one dataset."""

    method: Method
    scores: dict[str, SequenceScores] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)

    def run(self, names: Sequence[str]) -> Run:
        return Run(
            method=self.method.name,
            kind=self.method.kind,
            source=self.method.source,
            sequences=tuple(self.scores[name] for name in names if name in self.scores),
            failures=tuple(Failure(name, reason) for name, reason in self.failures.items()),
            missing=tuple(n for n in names if n not in self.scores and n not in self.failures),
        )


class _Table:
    """A dataset: its sequences, and what is known so far of them."""

    def __init__(self, plan: DatasetPlan, methods: Sequence[Method], by: tuple[str, ...]) -> None:
        self.plan, self.by = plan, by
        self.sequences, self.missing = plan.find()
        self.columns = [_Column(m, failures=dict(self.missing)) for m in plan.columns(methods)]

    def dataset(self) -> Dataset:
        plan, names = self.plan, [*(s.name for s in self.sequences), *self.missing]
        return Dataset(
            name=plan.name,
            root=str(plan.root),
            flow=plan.flow or "",
            protocol=asdict(plan.protocol),
            average=plan.protocol.average,
            measures=plan.protocol.measures,
            sequences=tuple(names),
            runs=tuple(column.run(names) for column in self.columns),
            published=published_scores(plan.protocol.published),
            by=self.by,
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
        out: folder that pictures, masks and the state go to.
        plans: datasets to evaluate on.
        methods: methods to score on all datasets, in the order of the columns.
        options: files to write, and functions to report to.

    Yields:
        All that is known after each sequence.

    Raises:
        InputError: nothing of a dataset can be found, or a checkpoint cannot be loaded.
    """
    tables = [_Table(plan, methods, options.by) for plan in plans]
    for table in tables:
        for reason in table.missing.values():
            options.on_failure(reason)
    # One network is in memory at a time; what needs none goes with the first.
    networks = [method for method in methods if isinstance(method, Network)]
    for network in networks or [None]:
        for table in tables:
            group = [column for column in table.columns if column.method is network]
            if network is None or network is networks[0]:
                group += [c for c in table.columns if not isinstance(c.method, Network)]
            for sequence in table.sequences:
                _evaluate_sequence(out, table.plan, sequence, group, options)
                yield Evaluation(tuple(table.dataset() for table in tables))
        if network is not None:
            network.release()


def _evaluate_sequence(
    out: Path,
    plan: DatasetPlan,
    sequence: ScoredSequence,
    columns: Sequence[_Column],
    options: Options,
) -> None:
    """Scores a sequence by several methods, but for those whose result is kept."""
    pending: list[tuple[_Column, Path, str]] = []
    data = _data_stamps(sequence, options) if options.resume else []
    for column in columns:
        state = out / "state" / plan.name / column.method.name / f"{sequence.name}.json"
        inputs = _digest(plan, column.method, sequence, data, options) if options.resume else ""
        kept = _kept(out, state, inputs) if options.resume else None
        if kept is None:
            pending.append((column, state, inputs))
        else:
            column.scores[sequence.name] = kept
    if not pending:
        return
    reasons: dict[str, None] = {}
    try:
        video = AnnotatedVideo.read(sequence, plan.protocol)
    except InputError as error:
        reasons[str(error)] = None
        for column, _, _ in pending:
            column.failures[sequence.name] = str(error)
    else:
        strata: Strata = {}
        if "strata" in options.by:
            labels, frames = video.annotation.labels, video.annotation.frames
            strata = find_strata(labels, frames, video.flow, video.valid)
        for column, state, inputs in pending:
            options.on_progress(f"{plan.name} {sequence.name}: {column.method.name}")
            try:
                scores = _evaluate_method(out, plan, video, column.method, options)
            except InputError as error:
                reason = str(error)
                if sequence.name not in reason:
                    reason = f"{sequence.name}: {reason}"
                reasons[reason] = None
                column.failures[sequence.name] = reason
                continue
            count = len(scores.frames)  # a method may give fewer frames than are annotated
            told = {name: values[:count] for name, values in strata.items()}
            column.scores[sequence.name] = scores = replace(scores, strata=told)
            if options.resume:
                text = json.dumps({"inputs": inputs, "scores": to_json(scores)})
                with atomic_path(state) as path:
                    path.write_text(text, encoding="utf-8")
    for reason in reasons:
        options.on_failure(reason)


def _evaluate_method(
    out: Path, plan: DatasetPlan, video: AnnotatedVideo, method: Method, options: Options
) -> SequenceScores:
    labeled, protocol = method.label(video, plan.protocol), plan.protocol
    if labeled.select is not None and not protocol.overrules:
        protocol = replace(protocol, select=labeled.select)
    name, labels = video.sequence.name, labeled.labels
    scores, packed = score_labels(
        name,
        labels,
        video.annotation,
        protocol,
        labeled.num_labels,
        labeled.background,
        video.flow,
        video.valid,
    )
    if options.stability:
        scores = replace(scores, stability=_stability(name, packed, scores.frames, labels.shape[2]))
    if isinstance(method, Baseline):
        return scores  # pictures and masks are of what was evaluated
    if options.write_masks:
        foreground = unpack(packed, labels.shape[2]).astype(np.uint8)
        # The official tools take 0 for background, which no segment is.
        objects = labels if labeled.background is not None else labels + np.uint8(1)
        masks = objects if protocol.target == "objects" else foreground
        frame_names = video.sequence.record.frame_names(len(labels))
        write_masks(out, (plan.name, method.name, name), frame_names, masks, labels)
    if options.write_pictures is not None:
        folder = Path("pictures") / plan.name / name / method.name
        scores = replace(scores, pictures=folder.as_posix())
        foreground = unpack(packed, labels.shape[2])
        annotated = np.flatnonzero(video.annotation.frames < len(labels))
        gt = video.annotation.select(annotated).shown()
        read_frame = None
        if options.include_frames and video.sequence.has_frames:
            read_frame = partial(video.sequence.read_frame, size=video.annotation.size)
        options.write_pictures(out / folder, scores, video.flow, labels, foreground, gt, read_frame)
    return scores


def _stability(name: str, packed: np.ndarray, frames: tuple[int, ...], width: int) -> float:
    """Mean T of the foreground in the scored frames; NaN where its benchmark measures none."""
    if not is_stability_measured(name):
        return float("nan")
    return mean_of(temporal_stability(unpack(packed[list(frames)], width)))


def _data_stamps(sequence: ScoredSequence, options: Options) -> list:
    paths = sequence.files(options.include_frames)
    names = [path.name for path in sequence.record.frame_paths]  # say of which frame a mask is
    return [names, *(stamps(path) for path in paths)]


def _digest(
    plan: DatasetPlan, method: Method, sequence: ScoredSequence, data: list, options: Options
) -> str:
    """A short name of everything that a result depends on."""
    shows = options.write_pictures is not None
    inputs = {
        "format": _FORMAT,
        "protocol": asdict(plan.protocol),
        "method": [type(method).__name__, method.kind, method.source, method.inputs(sequence)],
        "data": data,
        "left": [options.write_masks, shows, options.include_frames, "strata" in options.by],
        "stability": options.stability,
    }
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()


def _kept(out: Path, state: Path, inputs: str) -> SequenceScores | None:
    """The result of an earlier run on the same inputs, if its pictures are there as well."""
    try:
        values = json.loads(state.read_text(encoding="utf-8"))
        if values["inputs"] != inputs:
            return None
        scores = from_json(SequenceScores, values["scores"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    there = scores.pictures is None or (out / scores.pictures).is_dir()
    return scores if there else None
