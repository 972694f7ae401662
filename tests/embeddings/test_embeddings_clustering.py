"""Clusters: those of the oracle by both rules, and what no order of the points changes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxmotion.embeddings import cluster


@pytest.fixture(scope="module")
def oracle(shared):
    return np.load(shared / "oracles" / "embeddings" / "clustering.npz")


def points(oracle, case):
    free = 1 / oracle[f"free_std_{case}"] ** 2
    embedding, width = oracle[f"embedding_{case}"], oracle[f"bandwidth_{case}"]
    width = np.concatenate([width, np.broadcast_to(free, (len(width), len(free)))], axis=1)
    return jnp.asarray(embedding), jnp.asarray(width, jnp.float32), oracle[f"seed_{case}"]


@pytest.mark.parametrize("case", range(5))
def test_clusters_are_those_of_the_oracle(oracle, case):
    most = int(oracle[f"max_instances_{case}"])
    for rule, prefix in (("paper", ""), ("released", "published_")):
        found = cluster(*points(oracle, case), max_instances=most, rule=rule)
        expected = np.maximum(oracle[f"{prefix}labels_{case}"], 0)
        np.testing.assert_array_equal(found.labels, expected)
        centers = oracle[f"{prefix}centres_{case}"]
        assert found.count == len(centers)
        np.testing.assert_allclose(found.mean[: len(centers)], centers, rtol=1e-6)
        if rule == "paper":
            widths = oracle[f"bandwidths_{case}"]
            np.testing.assert_allclose(found.bandwidth[: len(centers)], widths, rtol=1e-5)
        assert not np.any(found.mean[len(centers) :])


def blobs(seed, number=60):
    """Points about three centers, each surer of itself near one of them."""
    rng = np.random.default_rng(seed)
    of = rng.integers(0, 3, number)
    centers = np.array([[0, 0], [4, 0], [0, 4]])
    embedding = centers[of] + rng.normal(0, 0.2, (number, 2))
    seed = np.exp(-2 * np.linalg.norm(embedding - centers[of], axis=1) ** 2)
    return embedding, np.full((number, 2), 2.0), seed, of


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000))
def test_the_order_of_the_points_does_not_matter(seed):
    embedding, width, seeds, of = blobs(seed)
    order = np.random.default_rng(seed).permutation(len(of))
    first = cluster(embedding, width, seeds, min_seed=0.5)
    second = cluster(embedding[order], width[order], seeds[order], min_seed=0.5)
    np.testing.assert_array_equal(np.asarray(first.labels)[order], second.labels)
    # A cluster is one blob.
    for label in range(1, int(first.count) + 1):
        assert len(set(of[np.asarray(first.labels) == label])) == 1


def test_what_is_no_foreground_and_what_has_no_seed_is_in_no_cluster():
    embedding, width, seeds, of = blobs(0)
    found = cluster(embedding, width, seeds, foreground=of != 1, min_seed=0.5)
    assert not np.asarray(found.labels)[of == 1].any()
    assert found.count == 2
    nothing = cluster(embedding, width, 0 * seeds)
    assert nothing.count == 0
    assert not np.any(nothing.labels)
    with pytest.raises(ValueError, match="rule 'other': expected one of paper, released"):
        cluster(embedding, width, seeds, rule="other")


def test_several_videos_at_once_are_what_each_is_alone():
    several = [blobs(seed)[:3] for seed in range(3)]
    together = jax.jit(jax.vmap(lambda e, w, s: cluster(e, w, s, min_seed=0.5)))(
        *(jnp.asarray(np.stack(part)) for part in zip(*several, strict=True))
    )
    for index, (embedding, width, seeds) in enumerate(several):
        alone = cluster(embedding, width, seeds, min_seed=0.5)
        np.testing.assert_array_equal(together.labels[index], alone.labels)
        assert together.count[index] == alone.count


def test_the_rim_of_an_object_joins_it():
    """One object whose rim, a tenth of its points, is sure of itself; and another, far away."""
    rng = np.random.default_rng(0)
    core, rim = np.zeros((90, 2)), np.tile([1.3, 0.0], (10, 1))
    embedding = np.concatenate([core, rim, np.full((50, 2), 9.0)])
    embedding += rng.normal(0, 0.01, embedding.shape)
    width = np.repeat([1.0, 0.5, 1.0], [90, 10, 50])[:, None] * np.ones(2)
    seeds = np.repeat([0.95, 0.85, 0.9], [90, 10, 50])
    alone = cluster(embedding, width, seeds)
    assert alone.count == 3
    joined = cluster(embedding, width, seeds, covered=0.8)
    assert joined.count == 2
    np.testing.assert_array_equal(joined.labels, np.repeat([1, 1, 2], [90, 10, 50]))
    # The clusters are those of the two objects, the rim has written nothing.
    np.testing.assert_allclose(joined.seed[:3], [0.95, 0.9, 0.0], atol=1e-6)
    # The rim's Gaussian covers 90 of 100 points: above that, it stays its own.
    assert cluster(embedding, width, seeds, covered=0.91).count == 3


def brute_force(embedding, width, seeds, covered, most):
    """The rule, written out in numpy."""
    labels, count = np.zeros(len(seeds), int), 0
    distances = []
    while count < most and seeds[labels == 0].max(initial=-1) >= 0.5:
        best = np.where(labels == 0, seeds, -1).argmax()
        distance = ((embedding - embedding[best]) ** 2 * width[best]).sum(-1)
        inside = np.exp(-distance / 2) > 0.5
        taken = np.bincount(labels[inside], minlength=most + 1)
        taken[0] = 0
        again = taken.sum() > covered * inside.sum()
        count += not again
        label = taken.argmax() if again else count
        labels[inside & (labels == 0)] = label
        distances.append((distance, label))
    nearest = np.full(len(seeds), np.inf)
    suited = np.zeros(len(seeds), int)
    for distance, label in distances:
        suited = np.where(distance < nearest, label, suited)
        nearest = np.minimum(nearest, distance)
    left = (labels == 0) & (np.exp(-nearest / 2) > 0.3)
    return np.where(left, suited, labels), count


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0.2, 0.5, 0.7, 1.0]))
def test_it_is_its_plain_form(seed, covered):
    rng = np.random.default_rng(seed)
    embedding = rng.normal(0, 1.5, (60, 2)).astype(np.float32)
    width = rng.uniform(0.5, 3.0, (60, 2)).astype(np.float32)
    seeds = rng.random(60).astype(np.float32)
    found = cluster(embedding, width, seeds, min_seed=0.5, max_instances=6, covered=covered)
    labels, count = brute_force(embedding, width, seeds, covered, 6)
    np.testing.assert_array_equal(found.labels, labels)
    assert found.count == count
