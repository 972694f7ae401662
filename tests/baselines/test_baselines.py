import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxmotion.baselines import ALL_BASELINES, UPPER_BOUND
from jaxmotion.baselines.classical_em import classical_em, initial_mixture, run_em
from jaxmotion.baselines.threshold import (
    BASELINES,
    all_background,
    otsu,
    otsu_thresholds,
    residual_norm,
    scaled_threshold,
    tune_threshold,
    two_motion_upper_bound,
)
from jaxmotion.metrics.davis import jaccard

H, W = 24, 40
Y, X = np.meshgrid(np.linspace(-1, 1, H), np.linspace(-1, 1, W), indexing="ij")
MONOMIALS = np.stack([np.ones_like(X), X, Y, X**2, X * Y, Y**2], axis=-1)


def quadratic(seed):
    return MONOMIALS @ np.random.default_rng(seed).normal(size=(6, 2))


def two_motions(seed=0, noise=0.05, frames=3):
    """A background and a rectangle, each with a quadratic motion of its own."""
    rng = np.random.default_rng(seed)
    gt = np.zeros((frames, H, W), bool)
    flow = np.empty((frames, H, W, 2), np.float32)
    for t in range(frames):
        gt[t, 6 + t : 16 + t, 8 + 2 * t : 22 + 2 * t] = True
        inside = quadratic(seed + 10 * t + 1) * 0.2 + [4.0, -3.0]
        flow[t] = np.where(gt[t, ..., None], inside, quadratic(seed + 10 * t))
    return flow + noise * rng.normal(size=flow.shape).astype(np.float32), gt


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10**6), st.sampled_from([2, 3, 10, 40]))
def test_otsu_threshold_splits_as_well_as_any(seed, count):
    values = np.random.default_rng(seed).gamma(1.0, size=(1, 1, count))
    flat = values.ravel()

    def within(threshold):
        parts = flat[flat <= threshold], flat[flat > threshold]
        return sum(((part - part.mean()) ** 2).sum() for part in parts if len(part))

    threshold = otsu_thresholds(values)[0]
    assert flat.min() <= threshold < flat.max()
    assert within(threshold) <= min(within(v) for v in flat) + 1e-9


def test_otsu_threshold_of_equal_values_leaves_nothing_above():
    values = np.full((2, 3, 3), 0.25)
    assert not (values > otsu_thresholds(values)[:, None, None]).any()


def test_otsu_finds_what_moves_on_its_own():
    flow, gt = two_motions()
    assert jaccard(gt, otsu(flow) > 0.5).min() > 0.95


@settings(deadline=None, max_examples=5)
@given(st.integers(0, 10**6))
def test_adding_a_global_motion_changes_no_residual(seed):
    flow, _ = two_motions()
    moved = flow + quadratic(seed).astype(np.float32)
    np.testing.assert_allclose(residual_norm(moved), residual_norm(flow), atol=0.02)


def test_upsampled_margin_crosses_one_half_where_the_threshold_is():
    flow, _ = two_motions(noise=0.3)
    residual = residual_norm(flow)
    threshold = otsu_thresholds(residual)[:, None, None]
    np.testing.assert_array_equal(otsu(flow) > 0.5, residual > threshold)
    np.testing.assert_array_equal(
        scaled_threshold(flow, 1.5) > 0.5, residual > 1.5 * residual.mean((1, 2), keepdims=True)
    )


def test_tuned_threshold_is_the_best_factor_on_its_sample():
    flow, gt = two_motions(noise=0.3)
    factor = tune_threshold(flow[None], gt[None])
    best = jaccard(gt, scaled_threshold(flow, factor) > 0.5).mean()
    for other in 2.0 ** np.linspace(-2, 4, 33):
        assert jaccard(gt, scaled_threshold(flow, other) > 0.5).mean() <= best + 1e-6


def test_upper_bound_is_perfect_where_two_motions_are_all_there_is():
    flow, gt = two_motions(noise=0.0)
    assert jaccard(gt, two_motion_upper_bound(flow, gt) > 0.5).min() > 0.99


def test_upper_bound_of_an_empty_frame_is_empty():
    flow, gt = two_motions()
    gt[1] = False
    found = two_motion_upper_bound(flow, gt) > 0.5
    assert found[0].any()
    assert not found[1].any()
    with pytest.raises(ValueError, match="as the flow is"):
        two_motion_upper_bound(flow, gt[:, 1:])


@pytest.mark.parametrize("name", BASELINES)
@pytest.mark.parametrize("flow", [0.0, 1e-6, 1e3, "wild"])
def test_baselines_answer_every_flow_with_probabilities(name, flow):
    rng = np.random.default_rng(0)
    if flow == "wild":
        flow = rng.normal(size=(2, H, W, 2)) * (1 + 1e3 * (rng.uniform(size=(2, H, W, 1)) > 0.9))
    else:
        flow = np.full((2, H, W, 2), flow)
    foreground = BASELINES[name](flow)
    assert foreground.shape == (2, H, W)
    assert (foreground >= 0).all()
    assert (foreground <= 1).all()


def test_all_background_has_no_foreground():
    assert not all_background(np.ones((2, 3, 4, 2))).any()


@pytest.mark.parametrize("alpha", [1e-2, None])
def test_likelihood_never_falls(alpha):
    flow, _ = two_motions(noise=0.2)
    for seed in range(3):
        state = initial_mixture(flow[0], jax.random.key(seed), 3, 4, alpha)
        _, likelihood = run_em(flow[0], state, alpha, 40)
        likelihood = np.asarray(likelihood, np.float64)
        rounding = 1e-6 + 1e-5 * np.abs(likelihood[1:])
        assert (np.diff(likelihood, axis=0) >= -rounding).all()
        assert (likelihood[-1] > likelihood[0]).all()


def reference_step(flow, theta, variance, prior, alpha):
    """One step of the mixture in float64, with dense least squares and monomials."""
    basis = MONOMIALS.reshape(-1, 6)
    planar = flow.reshape(-1, 2).astype(np.float64)
    squared = ((planar - basis @ theta) ** 2).sum(-1)  # [K, n], theta [K, 6, 2]
    joint = prior[:, None] / (2 * np.pi * variance[:, None])
    joint = joint * np.exp(-squared / (2 * variance[:, None]))
    posterior = joint / joint.sum(0)
    root = np.sqrt(posterior)[..., None]
    theta = np.stack([np.linalg.lstsq(r * basis, r * planar, rcond=None)[0] for r in root], axis=0)
    if alpha is None:
        squared = ((planar - basis @ theta) ** 2).sum(-1)
        variance = (posterior * squared).sum(1) / (2 * posterior.sum(1))
        prior = posterior.mean(1)
    return np.log(joint.sum(0)).mean(), theta, variance, prior


@pytest.mark.parametrize("alpha", [2.0, None])
def test_em_equals_a_float64_reference(alpha):
    flow, _ = two_motions(noise=0.3)
    state = initial_mixture(flow[0], jax.random.key(1), 2, 1, alpha)
    _, likelihoods = run_em(flow[0], state, alpha, 6)
    # The same motions in monomials: fit them to the flow the initial mixture stands for.
    legendre = np.stack(
        [
            np.ones_like(X),
            np.sqrt(3) * X,
            np.sqrt(3) * Y,
            np.sqrt(5) * (3 * X**2 - 1) / 2,
            3 * X * Y,
            np.sqrt(5) * (3 * Y**2 - 1) / 2,
        ],
        axis=-1,
    ).reshape(-1, 6)
    start = np.asarray(state.theta[0], np.float64).swapaxes(1, 2)  # [K, 6, 2]
    theta = np.linalg.lstsq(MONOMIALS.reshape(-1, 6), legendre, rcond=None)[0] @ start
    variance, prior = (np.asarray(p[0], np.float64) for p in (state.variance, state.prior))
    for likelihood in np.asarray(likelihoods)[:, 0]:
        expected, theta, variance, prior = reference_step(flow[0], theta, variance, prior, alpha)
        assert likelihood == pytest.approx(expected, abs=2e-3)


def test_classical_em_separates_two_motions():
    flow, gt = two_motions(frames=6)
    masks, _ = classical_em(flow, num_segments=2, num_starts=10)
    np.testing.assert_allclose(masks.sum(-1), 1, atol=1e-5)
    second = masks[..., 1] > 0.5
    scores = np.maximum(jaccard(gt, second), jaccard(gt, ~second))
    assert np.mean(scores > 0.95) >= 0.5


def test_more_starts_find_a_higher_likelihood():
    flow, _ = two_motions(frames=8, noise=0.5)
    one, ten = (classical_em(flow, num_segments=3, num_starts=starts)[1] for starts in (1, 10))
    assert ten.mean() > one.mean() + 1


def test_the_names_that_commands_know_are_those_that_exist():
    assert (*BASELINES, UPPER_BOUND) == ALL_BASELINES
