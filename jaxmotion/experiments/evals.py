"""The scores of a trained network, by the task that it was trained for."""

from collections.abc import Callable
from pathlib import Path

from jaxmotion.errors import InputError
from jaxmotion.experiments.events import score_events
from jaxmotion.experiments.frames import score_on_frames
from jaxmotion.experiments.instances import score_instances
from jaxmotion.experiments.masked import score_masked
from jaxmotion.experiments.salient_masks import score_adversarial
from jaxmotion.experiments.segmentation import score_segmentation, videos_of
from jaxmotion.experiments.small_flow import score_flow
from jaxmotion.models.loading import load_trained
from jaxmotion.tasks.task import Variables
from jaxmotion.training.config import Config
from jaxmotion.training.loop import Evaluate
from jaxmotion.training.metrics import append_metrics

Evaluation = Callable[[Config, Variables, bool], dict[str, float]]
"""From a configuration, the variables of its network, and whether to score baselines beside it, to
scores by name; none where the configuration asks for none."""

EVALUATIONS: dict[str, Evaluation] = {
    "segmentation": score_segmentation,
    "foreground": score_segmentation,
    "classification": score_on_frames,
    "adversarial": score_adversarial,
    "instances": score_instances,
    "masked": score_masked,
    "events": score_events,
    "soflow": score_flow,
}


def register_evaluation(kind: str, evaluation: Evaluation) -> None:
    """Registers how networks of a task are scored.

    Args:
        kind: name of the task.
        evaluation: function that scores a network of that task.
    """
    EVALUATIONS[kind] = evaluation


def evaluation_of(config: Config) -> Evaluate | None:
    """Finds the function that scores a network in training; None for a task without one.

    Args:
        config: configuration of the experiment.

    Raises:
        InputError: where scores are wanted but nothing gives them, or a video of them is missing.
    """
    videos_of(config.evals)
    evaluation = EVALUATIONS.get(config.task.kind)
    if evaluation is not None:
        return lambda variables: evaluation(config, variables, False)
    if config.evals.every:
        raise InputError(f"evals.every {config.evals.every}: nothing scores a {config.task.kind}")
    return None


def final_scores(workdir: Path, *, baselines: bool) -> dict[str, float]:
    """Scores the kept network of a run, and adds a line to its ``metrics.jsonl``.

    Args:
        workdir: the run's folder.
        baselines: whether to score baselines beside the network, which may take minutes.

    Returns:
        Scores by name; none where the run's configuration asks for none.
    """
    trained = load_trained(workdir)
    evaluation = EVALUATIONS.get(trained.config.task.kind)
    if evaluation is None:
        return {}
    scores = evaluation(trained.config, trained.variables, baselines)
    if scores:
        append_metrics(workdir, trained.step, scores)
    return scores
