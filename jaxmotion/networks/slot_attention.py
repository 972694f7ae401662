"""Slot attention: K vectors that share out a set of tokens among themselves (thesis app. 7.3.3).

`SlotAttention` is the module, `SlotUpdate` one step of its recurrence, and `fixed_point` the
recurrence with the gradient of its limit. Nothing learned has K in its shape, so one set of
parameters serves every number of slots.
"""

from functools import partial
from typing import Any, get_args

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.sparse.linalg import gmres

from jaxmotion.networks.config import Differentiation

# Of the weighted mean: a slot that no token prefers takes the mean of all tokens.
_EPSILON = 1e-8
# Of the linear solve in the implicit gradient: relative residual, Krylov vectors, restarts.
_TOLERANCE, _KRYLOV, _RESTARTS = 1e-5, 20, 3


class SlotAttention(nn.Module):
    """Slots that compete for tokens, refined step by step from fixed queries.

    At each step a token spreads a total attention of 1 over the slots, and a slot moves, through
    a GRU, toward the mean of the values it attends to: a learned soft k-means.

    Slot k starts at ``mu + exp(log_sigma) * initial_noise(K, width)[k]``, ``mu`` and
    ``log_sigma`` learned: the first K of one endless list of Gaussian queries. K can therefore be
    chosen after training, and slot k is the same slot whatever K is.

    Work and memory are linear in N. Over the tokens it only takes sums, of K·width numbers a
    sample, so where the tokens are sharded along time a step costs one small all-reduce.

    Attributes:
        num_slots: K, number of slots.
        width: number of channels of a slot.
        iterations: number of steps of the recurrence.
        hidden: number of hidden channels of the residual MLP after the GRU; 0 for none.
        differentiation: kind of the gradient. ``"unroll"`` differentiates all steps. ``"implicit"``
            takes the slots to be at a fixed point and differentiates that (`fixed_point`);
            ``"one_step"``, the first term of its Neumann series, differentiates the last step only.
            Neither keeps anything of the earlier steps, and neither gives a gradient to ``mu`` and
            ``log_sigma``, on which a fixed point does not depend.
        dtype: compute type of the products over the tokens. Parameters, softmax, means and the
            recurrence are float32 even where it is bfloat16.

    References:
        Locatello et al., Object-centric learning with slot attention, NeurIPS 2020.
        Chang, Griffiths, Levine, Object representations as fixed points: training iterative
        refinement algorithms with implicit differentiation, NeurIPS 2022.
    """

    num_slots: int
    width: int = 128
    iterations: int = 5
    hidden: int = 128
    differentiation: Differentiation = "unroll"
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, tokens: jax.Array, weight: jax.Array | None = None) -> jax.Array:
        """Assigns tokens to slots.

        Args:
            tokens: features to be shared out, `[B, N, C]`.
            weight: weight of each token, `[B, N]` in [0, 1]; None counts all. A token of
                weight 0 has no influence, not even where it is not finite.

        Returns:
            Slots `[B, num_slots, width]`, float32. A sample whose tokens all have weight 0 gets
            finite slots that mean nothing.

        Raises:
            ValueError: if an attribute or a shape is wrong.
        """
        self._check(tokens, weight)
        state = jnp.promote_types(self.dtype, jnp.float32)
        if weight is None:
            weight = jnp.ones(tokens.shape[:2], state)
        weight = weight.astype(state)
        tokens = jnp.where(weight[..., None] > 0, tokens, 0).astype(state)
        tokens = _layer_norm(state, "token_norm")(tokens)
        keys, values = (
            nn.Dense(self.width, use_bias=False, dtype=self.dtype, name=name)(tokens)
            for name in ("keys", "values")
        )

        mu = self.param("mu", nn.initializers.zeros, (self.width,), jnp.float32)
        log_sigma = self.param("log_sigma", nn.initializers.zeros, (self.width,), jnp.float32)
        slots = (mu + jnp.exp(log_sigma) * initial_noise(self.num_slots, self.width)).astype(state)
        slots = jnp.broadcast_to(slots, (tokens.shape[0], *slots.shape))

        # The step is a function of explicit parameters, not a submodule, because the implicit
        # gradient needs to differentiate it with respect to them.
        update = SlotUpdate(self.hidden, self.dtype, parent=None)
        one = jnp.zeros((1, self.width), state)
        params = self.param(
            "update", lambda key: update.init(key, one, one, one, one[:, 0])["params"]
        )
        arguments = (params, keys, values, weight)
        if self.differentiation == "implicit":
            return fixed_point(update, self.iterations, arguments, slots)
        if self.differentiation == "one_step":
            detached = jax.lax.stop_gradient((arguments, slots))
            slots = _iterate(update, self.iterations - 1, *detached)
            return _iterate(update, 1, arguments, slots)
        return _iterate(update, self.iterations, arguments, slots)

    def _check(self, tokens: jax.Array, weight: jax.Array | None) -> None:
        for name, least in (("num_slots", 1), ("width", 1), ("iterations", 1), ("hidden", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}; got {getattr(self, name)}")
        if self.differentiation not in get_args(Differentiation):
            names = ", ".join(get_args(Differentiation))
            raise ValueError(
                f"differentiation must be one of {names}; got {self.differentiation!r}"
            )
        if tokens.ndim != 3:
            raise ValueError(f"tokens must have shape [B, N, C]; got {tokens.shape}")
        if weight is not None and weight.shape != tokens.shape[:2]:
            raise ValueError(f"weight must have shape {tokens.shape[:2]}; got {weight.shape}")


def initial_noise(num_slots: int, width: int) -> np.ndarray:
    """Standard normal vectors `[num_slots, width]`; those of K are the first K of those of K+1.

    They are constants, in training as at test. Drawn anew for each clip they would make the slots
    exchangeable: none could learn a role (one is the background), labels would change from clip
    to clip and a video in several windows would have to be matched anew. They are part of what a
    checkpoint means, so they come from the one generator whose stream is promised never to
    change, filled row by row, and not from `jax.random`, whose bits depend on its flags.

    Args:
        num_slots: K, number of slots.
        width: number of channels of a slot.
    """
    return np.random.RandomState(0).standard_normal((num_slots, width))


class SlotUpdate(nn.Module):
    """One step of slot attention.

    Attributes:
        hidden: hidden channels of the residual MLP; 0 for none.
        dtype: compute type of the two products over the tokens.
    """

    hidden: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(
        self, slots: jax.Array, keys: jax.Array, values: jax.Array, weight: jax.Array
    ) -> jax.Array:
        """Moves the slots of one sample, or of any number of them in leading axes.

        Args:
            slots: slots so far, `[..., K, D]`.
            keys: keys of the tokens, `[..., N, D]`.
            values: values of the tokens, `[..., N, D]`.
            weight: weight of each token, `[..., N]`.

        Returns:
            The new slots `[..., K, D]`.
        """
        width, state = slots.shape[-1], slots.dtype
        product = partial(jnp.einsum, preferred_element_type=state)
        # A recurrence amplifies rounding; what is small is exact, and what is large is as exact
        # as its type, on accelerators too.
        with jax.default_matmul_precision("highest"):
            query = nn.Dense(width, use_bias=False, dtype=state, name="query")
            queries = query(_layer_norm(state, "slot_norm")(slots)) / np.sqrt(width)
            # K comes before N, so that the long axis is the minor one: [..., K, N].
            logits = product("...kd,...nd->...kn", queries.astype(keys.dtype), keys)
            attention = nn.softmax(logits, axis=-2)
            # The denominator sums what the numerator sums, after rounding to the compute type.
            attention = ((attention + _EPSILON) * weight[..., None, :]).astype(values.dtype)
            total = jnp.sum(attention, axis=-1, dtype=state)[..., None]
            gathered = product("...kn,...nd->...kd", attention, values)
            mean = gathered / jnp.where(total > 0, total, 1)

            slots, _ = nn.GRUCell(width, dtype=state, name="gru")(slots, mean)
            if self.hidden:
                x = _layer_norm(state, "mlp_norm")(slots)
                x = nn.relu(nn.Dense(self.hidden, dtype=state, name="mlp_in")(x))
                slots = slots + nn.Dense(width, dtype=state, name="mlp_out")(x)
        return slots


def _layer_norm(dtype: Any, name: str) -> nn.LayerNorm:
    return nn.LayerNorm(epsilon=1e-5, dtype=dtype, use_fast_variance=False, name=name)


def _iterate(update: SlotUpdate, iterations: int, arguments: Any, slots: jax.Array) -> jax.Array:
    params, *rest = arguments
    step = lambda _, slots: update.apply({"params": params}, slots, *rest)  # noqa: E731
    return jax.lax.fori_loop(0, iterations, step, slots)


@partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def fixed_point(update: SlotUpdate, iterations: int, arguments: Any, start: jax.Array) -> jax.Array:
    """Iterates ``s <- f(a, s)``; its gradient is that of the fixed point ``s* = f(a, s*)``.

    From ``ds* = (I - df/ds)^-1 df/da da``, a cotangent g of the slots gives the arguments the
    cotangent ``(df/da)^T u`` with ``u = g + (df/ds)^T u``. GMRES solves for u, each sample by
    itself, in matrix-vector products that each cost the backward pass of one step. Unlike a
    Neumann series it does not need f to be a contraction; but the result is a gradient only as far
    as the iterations have come near a fixed point, which five of an untrained step have not.

    Args:
        update: module of the step f.
        iterations: number of times that it is applied.
        arguments: `(params, keys, values, weight)` with keys and values `[B, N, D]` and weight
            `[B, N]`.
        start: slots `[B, K, D]`; they get a zero gradient, the limit does not depend on them.

    Returns:
        Slots `[B, K, D]`.
    """
    return _iterate(update, iterations, arguments, start)


def _fixed_point_forward(update, iterations, arguments, start):
    slots = _iterate(update, iterations, arguments, start)
    return slots, (arguments, slots)


def _fixed_point_backward(update, iterations, residuals, cotangent):
    (params, *rest), slots = residuals

    def step(params, slots, *rest):
        return update.apply({"params": params}, slots, *rest)

    def solve(cotangent, slots, *rest):
        _, pull = jax.vjp(lambda slots: step(params, slots, *rest), slots)
        u, _ = gmres(
            lambda u: u - pull(u)[0],
            cotangent,
            tol=_TOLERANCE,
            restart=min(_KRYLOV, slots.size),
            maxiter=_RESTARTS,
            solve_method="incremental",  # the other method takes an SVD a restart
        )
        return u

    u = jax.vmap(solve)(cotangent, slots, *rest)
    _, pull = jax.vjp(lambda params, *rest: step(params, slots, *rest), params, *rest)
    return pull(u), jnp.zeros_like(slots)


fixed_point.defvjp(_fixed_point_forward, _fixed_point_backward)
