"""The update: from the correlations around the current matches to a better flow."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxmotion.networks.raft.encoder import conv


class Update(nn.Module):
    """One iteration: motion features, a recurrent unit, the step of the flow.

    Attributes:
        hidden: number of channels of the state.
        correlation_features: numbers of channels of the convolutions of the correlations, 1 x 1 and
            then 3 x 3.
        flow_features: numbers of channels of the two convolutions of the flow.
        motion_features: number of channels of the convolution of the two together; the flow itself
            is added.
        kernels: extents in y and x of the recurrent units, which follow one another.
        head: number of channels inside the head that gives the step.
        precision: precision of the convolutions.
    """

    hidden: int
    correlation_features: tuple[int, ...]
    flow_features: tuple[int, int]
    motion_features: int
    kernels: tuple[tuple[int, int], ...]
    head: int
    precision: Any

    def setup(self):
        """Names the parts as the weights are named."""

        def convolution(features: int, kernel: int) -> nn.Conv:
            return conv(features, kernel, 1, self.precision)

        self.convc1 = convolution(self.correlation_features[0], 1)
        if len(self.correlation_features) > 1:
            self.convc2 = convolution(self.correlation_features[1], 3)
        self.convf1 = convolution(self.flow_features[0], 7)
        self.convf2 = convolution(self.flow_features[1], 3)
        self.conv = convolution(self.motion_features, 3)
        self.gru = [GRU(self.hidden, kernel, self.precision) for kernel in self.kernels]
        self.head1 = convolution(self.head, 3)
        self.head2 = convolution(2, 3)

    def prepare(self, context: jax.Array) -> list[jax.Array]:
        """Shares of the context `[B, H, W, C]` in every iteration, computed once."""
        return [gru.prepare(context) for gru in self.gru]

    def __call__(
        self, state: jax.Array, prepared: list[jax.Array], correlations: jax.Array, flow: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        """Iterates once.

        Args:
            state: recurrent state, `[B, H, W, hidden]`.
            prepared: shares of the context, from `prepare`.
            correlations: windows around the matches, `[B, H, W, ...]`.
            flow: flow so far, `[B, H, W, 2]`.

        Returns:
            The next state, and what to add to the flow.
        """
        motion = self.motion(correlations, flow)
        for gru, context in zip(self.gru, prepared, strict=True):
            state = gru(state, context, motion)
        return state, self.head2(nn.relu(self.head1(state)))

    def motion(self, correlations: jax.Array, flow: jax.Array) -> jax.Array:
        """The motion features `[B, H, W, motion_features + 2]`.

        Args:
            correlations: windows around the matches, `[B, H, W, ...]`.
            flow: flow so far, `[B, H, W, 2]`.
        """
        x = nn.relu(self.convc1(correlations))
        if len(self.correlation_features) > 1:
            x = nn.relu(self.convc2(x))
        y = nn.relu(self.convf2(nn.relu(self.convf1(flow))))
        both = nn.relu(self.conv(jnp.concatenate([x, y], axis=-1)))
        return jnp.concatenate([both, flow], axis=-1)


class GRU(nn.Module):
    """A convolutional gated recurrent unit whose input is in part the same in each iteration.

    The published unit convolves state, context and motion together for each of update gate, reset
    gate and candidate. A convolution is linear: the context's share, a third of the work, is taken
    out of the iterations, and the two gates are computed together.

    Attributes:
        hidden: number of channels of the state.
        kernel: extent in y and x.
        precision: precision of the convolutions.
    """

    hidden: int
    kernel: tuple[int, int]
    precision: Any

    def setup(self):
        """Makes the convolutions; the context's share of all three carries the biases."""
        self.context = conv(3 * self.hidden, self.kernel, 1, self.precision)
        self.gates = conv(2 * self.hidden, self.kernel, 1, self.precision, bias=False)
        self.candidate = conv(self.hidden, self.kernel, 1, self.precision, bias=False)

    def prepare(self, context: jax.Array) -> jax.Array:
        """The context's share, `[B, H, W, 3 hidden]`: of update gate, reset gate, candidate."""
        return self.context(context)

    def __call__(self, state: jax.Array, context: jax.Array, motion: jax.Array) -> jax.Array:
        """The next state from the state, the context's share, and the motion features."""
        from_context = jnp.split(context, 3, axis=-1)
        gates = self.gates(jnp.concatenate([state, motion], axis=-1))
        update, reset = (
            nn.sigmoid(gate + share)
            for gate, share in zip(jnp.split(gates, 2, axis=-1), from_context[:2], strict=True)
        )
        candidate = self.candidate(jnp.concatenate([reset * state, motion], axis=-1))
        return (1 - update) * state + update * jnp.tanh(candidate + from_context[2])


class Mask(nn.Module):
    """The weights with which the flow is upsampled, from the last state.

    Attributes:
        features: number of channels inside.
        precision: precision of the convolutions.
        factor: factor by which the flow is enlarged.
    """

    features: int
    precision: Any
    factor: int = 8

    @nn.compact
    def __call__(self, state: jax.Array) -> jax.Array:
        """`[B, H, W, hidden]` to logits `[B, H, W, 9, s, s]`: of neighbors, at (y, x) inside."""
        x = nn.relu(conv(self.features, 3, 1, self.precision, name="conv1")(state))
        # The published code scales here, "to balance gradients"; the weights expect it.
        x = 0.25 * conv(9 * self.factor**2, 1, 1, self.precision, name="conv2")(x)
        return x.reshape(*x.shape[:3], 9, self.factor, self.factor)
