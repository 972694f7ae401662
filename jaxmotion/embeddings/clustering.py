"""Instances from embeddings without a ground truth: seeds one after the other, under jit."""

from typing import NamedTuple, get_args

import jax
import jax.numpy as jnp

from jaxmotion.embeddings.modes import Rule
from jaxmotion.motion.shapes import check_shapes, promoted


class Clusters(NamedTuple):
    """Clusters of points.

    Attributes:
        labels: int32 `[N]`, 0 = none, 1.. = clusters in the order in which they were found.
        mean: `[max_instances, E]`, embedding of each cluster's seed; 0 behind the last cluster.
        bandwidth: `[max_instances, E]`, inverse variances of each cluster; 0 behind the last.
        seed: `[max_instances]`, seediness of each cluster's seed; 0 behind the last.
        count: int32, number of clusters.
    """

    labels: jax.Array
    mean: jax.Array
    bandwidth: jax.Array
    seed: jax.Array
    count: jax.Array


class _Search(NamedTuple):
    """The state of the search: the clusters, and of each point which one suits it best so far."""

    clusters: Clusters
    distance: jax.Array  # [N], to the cluster that suits best
    suited: jax.Array  # int32 [N], its number
    was_open: jax.Array  # bool [N], points without a cluster before the last one was found


def cluster(
    embedding: jax.Array,
    bandwidth: jax.Array,
    seed: jax.Array,
    *,
    foreground: jax.Array | None = None,
    primary: float = 0.5,
    secondary: float = 0.3,
    min_seed: float = 0.8,
    max_instances: int = 20,
    covered: float = 1.0,
    rule: Rule = "paper",
) -> Clusters:
    """Finds clusters one after the other, each about the point of greatest seediness that is left.

    A cluster takes the points whose probability p of its Gaussian is above ``primary``. Points left
    over at the end go to the cluster that suits them best, if p is above ``secondary`` there.

    ``rule`` "released" repeats two slips of the released code: p = exp(-d/2) instead of exp(-d²/2),
    and points left over go to the *farthest* cluster; and after the last of ``max_instances``
    clusters its own points count as left over.

    The rim of an object may be sure enough of itself to start a cluster of its own, whose Gaussian
    covers the object once more. With ``covered`` below 1 it joins the object. This is ours.

    Args:
        embedding: `[N, E]`.
        bandwidth: `[N, E]`, inverse variances at each point, those of free channels included.
        seed: `[N]`, seediness.
        foreground: bool `[N]`, points that may belong to a cluster; None for all.
        primary: least probability of a member.
        secondary: least probability of a point that was left over.
        min_seed: least seediness from which a cluster starts.
        max_instances: greatest number of clusters.
        covered: share of the points within a new cluster's ``primary`` that others may have taken;
            above it, what it would have taken goes to the one that took most of them.
        rule: "paper" or "released".

    Returns:
        The `Clusters`.

    Raises:
        ValueError: for shapes that do not belong together, or an unknown rule.

    References:
        Athar et al. 2020, section 3.4.
    """
    check_shapes(
        embedding=(embedding, "N E"),
        bandwidth=(bandwidth, "N E"),
        seed=(seed, "N"),
        foreground=(foreground, "N"),
    )
    if rule not in get_args(Rule):
        raise ValueError(f"rule {rule!r}: expected one of {', '.join(get_args(Rule))}")
    embedding, bandwidth, seed = promoted(embedding, bandwidth, seed)
    number, channels = embedding.shape
    released = rule == "released"
    wanted = jnp.ones(number, bool) if foreground is None else foreground > 0
    at_none = jnp.zeros((max_instances, channels), embedding.dtype)
    nothing = Clusters(
        jnp.zeros(number, jnp.int32),
        at_none,
        at_none,
        jnp.zeros(max_instances, seed.dtype),
        jnp.int32(0),
    )
    numbers = jnp.arange(1, max_instances + 1)
    worst = -jnp.inf if released else jnp.inf
    start = _Search(
        nothing, jnp.full(number, worst, seed.dtype), jnp.zeros(number, jnp.int32), wanted
    )

    def left(search: _Search) -> jax.Array:
        return wanted & (search.clusters.labels == 0)

    def more(search: _Search) -> jax.Array:
        best = jnp.max(seed, where=left(search), initial=-jnp.inf)
        return (search.clusters.count < max_instances) & (best >= min_seed)

    def find(search: _Search) -> _Search:
        labels, mean, width, seeds, count = search.clusters
        is_open = left(search)
        best = jnp.argmax(jnp.where(is_open, seed, -jnp.inf))
        distance = jnp.sum((embedding - embedding[best]) ** 2 * bandwidth[best], axis=-1)
        distance = jnp.sqrt(distance) if released else distance
        inside = wanted & (jnp.exp(-0.5 * distance) > primary)
        taken = jnp.sum(inside & (labels == numbers[:, None]), axis=1)  # no scatter
        again = jnp.sum(taken) > covered * jnp.sum(inside)
        number = jnp.where(again, numbers[jnp.argmax(taken)], count + 1)
        place = jnp.where(again, max_instances, count)  # out of range: nothing is written
        clusters = Clusters(
            jnp.where(is_open & inside, number, labels),
            mean.at[place].set(embedding[best], mode="drop"),
            width.at[place].set(bandwidth[best], mode="drop"),
            seeds.at[place].set(seed[best], mode="drop"),
            jnp.where(again, count, count + 1),
        )
        better = distance > search.distance if released else distance < search.distance
        return _Search(
            clusters,
            jnp.where(better, distance, search.distance),
            jnp.where(better, number, search.suited),
            is_open,
        )

    search = jax.lax.while_loop(more, find, start)
    over = left(search)
    if released:
        stale = search.clusters.count == max_instances
        over = jnp.where(stale, search.was_open, over)
    take = over & (jnp.exp(-0.5 * search.distance) > secondary) & (search.suited > 0)
    labels = jnp.where(take, search.suited, search.clusters.labels)
    return search.clusters._replace(labels=labels)
