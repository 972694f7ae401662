"""Optimisers: Adam or AdamW, a learning-rate schedule, clipping of the gradient."""

from dataclasses import dataclass
from typing import Annotated, Literal

import optax

from jaxmotion.options import Count, CountOrZero, Meta, NotNegative, Positive, check_fields


@dataclass(frozen=True)
class OptimizerConfig:
    """How the parameters move.

    Attributes:
        kind: ``"adam"`` or ``"adamw"``.
        learning_rate: the largest learning rate.
        schedule: after the warm-up ``"constant"``, ``"cosine"`` (to zero at the last step) or
            ``"halving"`` (halved every ``halve_every`` steps, as the published LT-MS).
        warmup_steps: steps of linear increase from ``1 / warmup_steps`` of the learning rate.
        halve_every: steps, for ``"halving"``.
        weight_decay: for ``"adamw"``.
        clip_norm: the global norm a gradient is clipped to; 0 for none.
        ema_decay: decay of the exponential moving average of the parameters that is validated and
            kept; 0 for none.
    """

    kind: Literal["adam", "adamw"] = "adam"
    learning_rate: Positive = 2e-3
    schedule: Literal["constant", "cosine", "halving"] = "cosine"
    warmup_steps: CountOrZero = 100
    halve_every: Count = 10_000
    weight_decay: NotNegative = 1e-4
    clip_norm: NotNegative = 1.0
    ema_decay: Annotated[float, Meta(ge=0, lt=1)] = 0.999

    def __post_init__(self) -> None:
        check_fields(self, "optimizer")


def learning_rate(config: OptimizerConfig, steps: int) -> optax.Schedule:
    """Learning rate as a function of the step, for a run of ``steps`` steps."""
    peak, warmup = config.learning_rate, min(config.warmup_steps, steps // 2)
    rest = steps - warmup
    match config.schedule:
        case "constant":
            main = optax.constant_schedule(peak)
        case "cosine":
            main = optax.cosine_decay_schedule(peak, max(rest, 1))
        case "halving":
            main = optax.exponential_decay(peak, config.halve_every, 0.5, staircase=True)
    if not warmup:
        return main
    # The first step already moves: a learning rate of zero would only waste it.
    ramp = optax.linear_schedule(peak / warmup, peak, warmup)
    return optax.join_schedules([ramp, main], [warmup])


def make_optimizer(config: OptimizerConfig, steps: int) -> optax.GradientTransformation:
    """The gradient transformation of a configuration, for a run of ``steps`` steps."""
    schedule = learning_rate(config, steps)
    if config.kind == "adam":
        update = optax.adam(schedule)
    else:
        update = optax.adamw(schedule, weight_decay=config.weight_decay)
    if config.clip_norm > 0:
        return optax.chain(optax.clip_by_global_norm(config.clip_norm), update)
    return update
