"""Attribution: which pixels of a frame a classifier's answer comes from.

Layer-wise relevance propagation (LRP) hands the logit back, layer by layer, as relevance that is
never negative and that no rule adds to. It is written as a backward pass with other rules in the
layers that have weights, over any linen module: `nn.intercept_methods` puts them in. The gradient
and integrated gradients stand beside it.

What has no weights keeps its derivative, which is the rule already: the winner of a maximum takes
all, a ReLU passes relevance on, and a unit at zero has none to pass. A norm passes relevance on as
it is: its statistics are constants of the frame, its slope is not negative, and a positive factor
of a unit cancels in its shares, as the constant does, which no denominator holds.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal, NamedTuple, cast

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from jaxmotion.networks.classifier import FrameNorm, MeanPool, mean_weights

Method = Literal["lrp", "gradient", "integrated_gradients"]
Classifier = Callable[[jax.Array], jax.Array]
"""From features `[B, T, H, W, C]` to logits `[B, T]`."""

_STEPS = 16  # of the path of integrated gradients
_NORMS = (FrameNorm, nn.BatchNorm, nn.LayerNorm, nn.GroupNorm, nn.InstanceNorm, nn.RMSNorm)


class Attribution(NamedTuple):
    """The parts that the pixels of frames have in the logits of a classifier.

    Attributes:
        logits: `[B, T]`.
        relevance: `[B, T, H, W, C]`, the part of each feature of each pixel. Of LRP it is never
            negative, and zero in a frame with a logit below zero, which has nothing to explain.
        lost: `[B, T]`, the relevance of LRP that reached units without an input to hand it to, as
            those that are alive by their bias alone. Relevance and what is lost add up to the
            logit. Zero for the other methods.
    """

    logits: jax.Array
    relevance: jax.Array
    lost: jax.Array

    @property
    def pixels(self) -> jax.Array:
        """The parts of the pixels, `[B, T, H, W]`: the sums over their features."""
        return jnp.sum(self.relevance, axis=-1)


def attribute(
    classifier: Classifier,
    features: jax.Array,
    method: Method = "lrp",
    *,
    known: jax.Array | None = None,
) -> Attribution:
    """Attributes the logit of each frame to the features of its pixels.

    Args:
        classifier: applies a linen module whose convolutions and dense layers are those of linen,
            such as ``lambda x: module.apply(variables, x)``. ReLU follows all but the last, and
            frames do not depend on each other.
        features: `[B, T, H, W, C]`, the input. For LRP the first layer with weights has to see it
            as it is.
        method: ``"lrp"``; ``"gradient"``, of the logit by the features; or
            ``"integrated_gradients"``, its mean on the way from features of zero, times these.
        known: `[B, T, H, W]` in {0, 1}; pixels at 0, whose features are 0, get nothing.

    Returns:
        The `Attribution`.

    Raises:
        ValueError: for another method; for a layer that no rule is known for; for a norm with a
            negative scale.

    References:
        Thesis eq. 5.3 and 5.4. Montavon et al., "Explaining nonlinear classification decisions
        with deep Taylor decomposition", Pattern Recognition 65 (2017), for both rules. Sundararajan
        et al., "Axiomatic attribution for deep networks" (2017), for integrated gradients.
    """
    if method == "lrp":
        return _lrp(classifier, features, known)
    if method not in ("gradient", "integrated_gradients"):
        raise ValueError(f"method {method!r}: expected lrp, gradient or integrated_gradients")
    logits, back = jax.vjp(classifier, features)
    if method == "gradient":
        (relevance,) = back(jnp.ones_like(logits))
    else:

        def step(total: jax.Array, share: jax.Array) -> tuple[jax.Array, None]:
            values, back = jax.vjp(classifier, share * features)
            return total + back(jnp.ones_like(values))[0], None

        shares = (jnp.arange(_STEPS, dtype=features.dtype) + 0.5) / _STEPS
        total, _ = jax.lax.scan(step, jnp.zeros_like(features), shares)
        relevance = features * total / _STEPS
    if known is not None:
        relevance = jnp.where(known[..., None] > 0, relevance, 0)
    return Attribution(logits, relevance, jnp.zeros_like(logits))


def _lrp(classifier: Classifier, features: jax.Array, known: jax.Array | None) -> Attribution:
    where = jnp.ones((*features.shape[:-1], 1), bool) if known is None else known[..., None] > 0
    # What the features of a frame lie between, at each of its known pixels; nothing elsewhere.
    low, high = (
        jnp.where(where, reach(features, (2, 3), where=where, initial=rest, keepdims=True), 0)
        for reach, rest in ((jnp.min, jnp.inf), (jnp.max, -jnp.inf))
    )

    def ruled(x: jax.Array, lost: jax.Array) -> jax.Array:
        with _rules(lost, (low, high)):
            return classifier(x)

    lost = jnp.zeros(features.shape[0] * features.shape[1], features.dtype)
    logits, back = jax.vjp(ruled, features, lost)
    relevance, lost = back(jnp.maximum(logits, 0))
    return Attribution(logits, relevance, lost.reshape(logits.shape))


@contextmanager
def _rules(lost: jax.Array, bounds: tuple[jax.Array, jax.Array]) -> Iterator[None]:
    """Puts the rules of LRP into the backward pass of all linen modules that are applied.

    Args:
        lost: zeros `[B T]`; the relevance that a frame loses is what comes back for them.
        bounds: least and greatest value that each feature of the input may have.
    """
    first = True

    def interceptor(
        call: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        context: nn.module.InterceptorContext,
    ) -> Any:
        nonlocal first
        module, output = context.module, call(*args, **kwargs)
        if context.method_name != "__call__":
            return output
        if isinstance(module, _NORMS):
            _refuse_negative(module)
            return _passed_on(args[0], output)
        if isinstance(module, MeanPool):
            weights = mean_weights(args[0], (*args, None)[1])
            plain = lambda x: jnp.sum(x * weights, axis=(2, 3))  # noqa: E731
            return _handed_back(_Positive(plain), args[0], output, lost)
        own = module.variables.get("params", {})
        if "kernel" not in own:
            return output
        if not isinstance(module, nn.Conv | nn.Dense):
            raise ValueError(f"{type(module).__name__}: no rule of LRP for such a layer")
        plain = module.clone(parent=None, name=None, use_bias=False)
        kernel = own["kernel"]

        def linear(weights: jax.Array) -> Callable[[jax.Array], jax.Array]:
            return lambda x: cast(jax.Array, plain.apply({"params": {"kernel": weights}}, x))

        rule: _Rule = _Positive(linear(jnp.maximum(kernel, 0)))
        if first:
            if args[0].size != bounds[0].size:
                raise ValueError(
                    f"the first layer sees {args[0].shape} of features {bounds[0].shape}: expected "
                    "them as they are, with sides that the classifier need not pad"
                )
            low, high = (bound.reshape(args[0].shape) for bound in bounds)
            negative = linear(jnp.minimum(kernel, 0))
            rule = _Bounded(linear(kernel), rule.linear, negative, low, high)
            first = False
        return _handed_back(rule, args[0], output, lost)

    with nn.intercept_methods(interceptor):
        yield


def _refuse_negative(module: nn.Module) -> None:
    scale = module.variables.get("params", {}).get("scale")
    if scale is not None and not isinstance(scale, Tracer) and np.any(scale < 0):
        raise ValueError(
            f"{module.name or type(module).__name__}: a norm with a negative scale, which does not "
            "commute with the maximum; expected scales of at least 0"
        )


@jax.custom_vjp
def _passed_on(x: jax.Array, output: jax.Array) -> jax.Array:
    """The output of a norm, whose relevance goes to its input as it is."""
    return output


_passed_on.defvjp(
    lambda x, output: (output, None),
    lambda _, relevance: (relevance, jnp.zeros_like(relevance)),
)


class _Positive(NamedTuple):
    """The z+ rule (eq. 5.3): what a unit gets is shared by `x w+`; x is never negative."""

    linear: Callable[[jax.Array], jax.Array]

    def shares(self, x: jax.Array, relevance: jax.Array) -> tuple[jax.Array, jax.Array]:
        total, back = jax.vjp(self.linear, x)
        ratio, lost = _ratio(relevance, total)
        return x * back(ratio)[0], lost


class _Bounded(NamedTuple):
    """The z^beta rule (eq. 5.4): it is shared by `x w - low w+ - high w-`."""

    linear: Callable[[jax.Array], jax.Array]
    positive: Callable[[jax.Array], jax.Array]
    negative: Callable[[jax.Array], jax.Array]
    low: jax.Array
    high: jax.Array

    def shares(self, x: jax.Array, relevance: jax.Array) -> tuple[jax.Array, jax.Array]:
        total, back = jax.vjp(self.linear, x)
        low_total, low_back = jax.vjp(self.positive, self.low)
        high_total, high_back = jax.vjp(self.negative, self.high)
        # Of three large numbers nothing but rounding may be left, which is no share of anything.
        size = jnp.abs(total) + jnp.abs(low_total) + jnp.abs(high_total)
        rounding = 8 * jnp.finfo(size.dtype).eps * size
        ratio, lost = _ratio(relevance, total - low_total - high_total, rounding)
        parts = x * back(ratio)[0] - self.low * low_back(ratio)[0] - self.high * high_back(ratio)[0]
        # Each part is at least zero but for rounding.
        return jnp.maximum(parts, 0), lost


_Rule = _Positive | _Bounded


def _ratio(
    relevance: jax.Array, total: jax.Array, nothing: jax.Array | float = 0.0
) -> tuple[jax.Array, jax.Array]:
    """Relevance over what it is shared by, and what is lost where that is ``nothing`` or less."""
    there = total > nothing
    ratio = jnp.where(there, relevance / jnp.where(there, total, 1), 0)
    return ratio, jnp.where(there, 0, relevance)


def _handed_back(rule: _Rule, x: jax.Array, output: jax.Array, lost: jax.Array) -> jax.Array:
    """The output of a layer, whose relevance goes to its input by a rule."""

    @jax.custom_vjp
    def layer(x: jax.Array, output: jax.Array, lost: jax.Array) -> jax.Array:
        return output

    def forward(x, output, lost):
        return output, x

    def backward(x, relevance):
        parts, gone = rule.shares(x, relevance)
        gone = jnp.sum(gone.reshape(len(lost), -1), axis=1)
        return parts, jnp.zeros_like(relevance), gone

    layer.defvjp(forward, backward)
    return layer(x, jax.lax.stop_gradient(output), lost)
