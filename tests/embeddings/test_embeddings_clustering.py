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
