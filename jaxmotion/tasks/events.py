"""The task of events: what a track does and when, learned from procedural scenes."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, cast

import jax
import jax.numpy as jnp

from jaxmotion import losses
from jaxmotion.data.track_source import most_events
from jaxmotion.events import KINDS
from jaxmotion.events.features import FEATURES
from jaxmotion.networks.event_head import EventHead, Proposals, places
from jaxmotion.tasks.event_changes import changed
from jaxmotion.tasks.events_config import EventsConfig
from jaxmotion.tasks.task import Batch, Output, Params, Task, Variables


class Targets(NamedTuple):
    """What P places are to say of K kinds of events.

    Attributes:
        there: bool `[B, P, K]`, whether there is an event.
        spans: `[B, P, K, 2]`, its start and stop; of no meaning where there is none.
    """

    there: jax.Array
    spans: jax.Array


@dataclass(frozen=True)
class EventsTask(Task):
    """Trains a pyramid over the numbers of tracks.

    Attributes:
        config: configuration of the task.
        clip_length: number of frames of the clips before padding.
    """

    config: EventsConfig
    clip_length: int

    @property
    def spec(self) -> Mapping[str, str]:
        """The fields of a batch: numbers of a track, and what it does."""
        return {
            "features": f"B T {len(FEATURES)}",
            "events": f"B {most_events(self.clip_length)} 3",
        }

    @cached_property
    def module(self) -> EventHead:
        """The linen module."""
        return EventHead(self.config.network, len(KINDS))

    def init(self, key: jax.Array, batch: Batch) -> Variables:
        """Draws fresh parameters; arguments as in `Task.init`."""
        return {"params": self.module.init(key, jnp.zeros((1, 1, len(FEATURES))))["params"]}

    def propose(self, params: Params, features: jax.Array, known: jax.Array) -> Proposals:
        """Applies the network.

        Args:
            params: parameters of the network.
            features: `[B, T, D]`, numbers of tracks.
            known: `[B, T]`, above 0 for the frames that there are.
        """
        return cast(Proposals, self.module.apply({"params": params}, features, known))

    def loss(
        self, variables: Variables, batch: Batch, *, step: jax.Array, key: jax.Array | None
    ) -> Output:
        """Computes the loss of each clip, for each place that is to propose an event.

        It is the focal loss of all places, and how far the spans of those are from the true ones.
        A clip weighs as many as it has of them. Arguments as in `Task.loss`.
        """
        features, events = batch["features"], batch["events"]
        if key is not None:
            features, events = changed(key, features, events, self.clip_length, self.config.changes)
        frames = features.shape[1]
        known = jnp.arange(frames) < self.clip_length
        found = self.propose(
            variables["params"], features, jnp.broadcast_to(known, features.shape[:2])
        )
        targets = self.targets(events, frames)
        middles, _ = places(frames, self.config.network.levels)
        counted = jnp.asarray(middles < self.clip_length)[None, :, None]
        whether = jnp.where(counted, losses.focal(found.logits, targets.there), 0)
        when = jnp.where(targets.there, losses.span_distance(found.spans, targets.spans), 0)
        number = jnp.sum(targets.there, axis=(1, 2))
        weight = jnp.maximum(number, 1).astype(whether.dtype)
        parts = {"whether": jnp.sum(whether, axis=(1, 2)), "when": jnp.sum(when, axis=(1, 2))}
        total = parts["whether"] + self.config.span_weight * parts["when"]
        metrics = {name: (part, weight) for name, part in parts.items()}
        return Output(total / weight, weight, metrics)

    def targets(self, events: jax.Array, num_frames: int) -> Targets:
        """What each place is to say.

        An event is proposed by the places near its middle, at the level whose strides are a half to
        a quarter of the way to its farther end; of several of a kind, each place takes the
        shortest.

        Args:
            events: `[B, E, 3]`, number of the kind, start and stop; below 0 for none.
            num_frames: T.
        """
        levels = self.config.network.levels
        middles, strides = (jnp.asarray(part) for part in places(num_frames, levels))
        kind, start, stop = (events[:, None, :, i] for i in range(3))  # [B, 1, E]
        place, stride = middles[:, None], strides[:, None]  # [P, 1]
        near = jnp.abs(place - (start + stop) / 2) <= self.config.radius * stride
        reach = jnp.maximum(place - start, stop - place)
        least = jnp.where(stride == 1, 0, 2 * stride)
        most = jnp.where(stride == 2 ** (levels - 1), jnp.inf, 4 * stride)
        mine = near & (start < place) & (place < stop) & (reach >= least) & (reach < most)
        of_kind = jax.nn.one_hot(kind[:, 0].astype(jnp.int32), len(KINDS), axis=1)  # [B, K, E]
        mine = mine[:, :, None] & (of_kind[:, None] > 0)  # [B, P, K, E]
        length = jnp.where(mine, (stop - start)[:, :, None], jnp.inf)
        chosen = jnp.argmin(length, axis=-1)
        rows = jnp.arange(len(events))[:, None, None]
        return Targets(jnp.any(mine, axis=-1), events[rows, chosen, 1:])

    def predict(self, variables: Variables, batch: Batch) -> Mapping[str, jax.Array]:
        """Gives ``probability`` `[B, P, K]` and ``spans`` `[B, P, K, 2]` of all `places`.

        Args:
            variables: collections by name, as in `loss`.
            batch: ``features`` `[B, T, D]`, and ``known`` `[B, T]` where not all frames are.
        """
        features = batch["features"]
        known = batch.get("known", jnp.ones(features.shape[:2]))
        found = self.propose(variables["params"], features, known)
        return {"probability": jax.nn.sigmoid(found.logits), "spans": found.spans}
