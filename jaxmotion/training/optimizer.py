"""Optimizers: Adam or AdamW, a learning-rate schedule, clipping of the gradient, groups."""

import re
from typing import Any

import jax
import optax

from jaxmotion.errors import InputError
from jaxmotion.training.config import OptimizerConfig


def learning_rate(config: OptimizerConfig, steps: int) -> optax.Schedule:
    """Makes the learning rate, a function of the step.

    Args:
        config: the peak, the schedule and the warm-up.
        steps: number of steps of the run; the warm-up takes at most half of them.
    """
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
    """Makes the gradient transformation of a configuration.

    Args:
        config: update rule, learning rate, clipping and groups.
        steps: number of steps of the run, on which the learning rate depends.
    """
    schedule = learning_rate(config, steps)

    def update(share: float) -> optax.GradientTransformation:
        if share == 0:
            return optax.set_to_zero()
        rate = schedule if share == 1 else lambda step: share * schedule(step)
        if config.kind == "adamw" and share > 0:
            return optax.adamw(rate, weight_decay=config.weight_decay)
        return optax.adam(rate)

    clip = optax.clip_by_global_norm(config.clip_norm)
    if not config.groups:  # the state of a run from before there were groups
        return optax.chain(clip, update(1)) if config.clip_norm > 0 else update(1)
    shares = {1.0, *(rate for _, rate in config.groups)}
    moves = optax.partition(
        {str(share): update(share) for share in shares},
        lambda params: jax.tree.map(str, rates(config, params)),
    )
    if config.clip_norm == 0:
        return moves
    return optax.chain(optax.masked(clip, lambda params: descending(config, params)), moves)


def rates(config: OptimizerConfig, params: Any) -> Any:
    """Finds the rate of the group of each parameter.

    Args:
        config: the optimizer's configuration, which has the groups.
        params: tree of parameters, or of their shapes.

    Returns:
        A tree of floats like ``params``.

    Raises:
        InputError: on a group that no parameter is in.
    """
    used = set()

    def rate(path: Any, _: Any) -> float:
        name = jax.tree_util.keystr(path, simple=True, separator="/")
        group = next((g for g in config.groups if re.fullmatch(g[0], name)), (None, 1.0))
        used.add(group[0])
        return group[1]

    found = jax.tree_util.tree_map_with_path(rate, params)
    for pattern, _ in config.groups:
        if pattern not in used:
            raise InputError(
                f"optimizer.groups {pattern!r}: no parameter is in this group; expected a regular "
                "expression that whole paths match, as 'unet/.*'"
            )
    return found


def descending(config: OptimizerConfig, params: Any) -> Any:
    """Tells which parameters go down the loss.

    Args:
        config: the optimizer's configuration, which has the groups.
        params: tree of parameters, or of their shapes.

    Returns:
        A tree of booleans like ``params``: whether the rate is above 0.
    """
    return jax.tree.map(lambda rate: rate > 0, rates(config, params))


def hold_frozen(config: OptimizerConfig, params: Any) -> Any:
    """Stops the gradient of the parameters of rate 0.

    Args:
        config: the optimizer's configuration, which has the groups.
        params: tree of parameters.

    Returns:
        The parameters; the gradient of those of rate 0 is zero.
    """
    if not config.groups:
        return params
    return jax.tree.map(
        lambda leaf, rate: leaf if rate else jax.lax.stop_gradient(leaf),
        params,
        rates(config, params),
    )
