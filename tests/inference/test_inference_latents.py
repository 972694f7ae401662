import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from jaxmotion.errors import InputError
from jaxmotion.inference.latents import (
    latent_map,
    latent_picture,
    normalize_latents,
    segment_latents,
    write_latents,
)

few = settings(deadline=None, max_examples=15)


def random_latents(seed, shape=(3, 8, 10, 6)):
    """Correlated, skewed features of very different scales."""
    rng = np.random.default_rng(seed)
    mixing = rng.normal(size=(shape[-1], shape[-1]))
    features = rng.gamma(0.7, size=shape) @ mixing
    return (features * 10.0 ** rng.uniform(-2, 2, shape[-1]) + rng.normal(0, 20)).astype(np.float32)


def random_masks(seed, shape, segments=3):
    logits = np.random.default_rng(seed).normal(size=(*shape, segments))
    powers = np.exp(2 * logits)
    return (powers / powers.sum(-1, keepdims=True)).astype(np.float32)


def standardized(embedding):
    sites = embedding.reshape(-1, embedding.shape[-1]).astype(np.float64)
    return (sites - sites.mean(0)) / sites.std(0)


def has_own_axes(shares, projections):
    """Components of nearly equal variance are anyone's, symmetric ones have no sign."""
    moments = np.abs((projections.astype(np.float64) ** 3).mean(0))
    return (-np.diff(shares) > 0.02).all() and (moments > 1e-3).all()


@few
@given(st.integers(0, 10**6))
def test_normalized_latents_have_mean_zero_and_variance_one(seed):
    embedding = random_latents(seed)
    latents = normalize_latents(embedding)
    np.testing.assert_allclose(latents.reshape(-1, 6), standardized(embedding), atol=2e-4)


def test_unknown_sites_count_nowhere():
    embedding = random_latents(0)
    valid = (np.random.default_rng(1).random(embedding.shape[:3]) < 0.7).astype(np.float32)
    spoilt = np.where(valid[..., None] > 0, embedding, 1e4).astype(np.float32)
    np.testing.assert_array_equal(
        normalize_latents(embedding, valid), normalize_latents(spoilt, valid)
    )
    known = normalize_latents(spoilt, valid)[valid > 0]
    np.testing.assert_allclose(known, standardized(embedding[valid > 0]), atol=2e-4)
    masks = random_masks(2, embedding.shape[:3])
    np.testing.assert_array_equal(
        segment_latents(embedding, masks, valid).vectors,
        segment_latents(spoilt, masks, valid).vectors,
    )
    assert (latent_map(spoilt, valid).projections[valid == 0] == 0).all()


def test_a_constant_feature_becomes_zero():
    embedding = random_latents(0)
    embedding[..., 2] = 0.1
    latents = normalize_latents(embedding)
    assert (latents[..., 2] == 0).all()
    assert (normalize_latents(np.full((1, 2, 2, 3), 0.1, np.float32)) == 0).all()


@few
@given(st.integers(0, 10**6))
def test_segment_vectors_are_weighted_means_of_the_sites(seed):
    embedding = random_latents(seed)
    masks = random_masks(seed + 1, embedding.shape[:3])
    found = segment_latents(embedding, masks)
    sites = standardized(embedding)
    expected = np.stack(
        [np.average(sites, axis=0, weights=m) for m in masks.reshape(-1, 3).T.astype(np.float64)]
    )
    np.testing.assert_allclose(found.vectors, expected, atol=1e-4)
    np.testing.assert_allclose(found.similarity, expected @ expected.T, atol=1e-4)


def test_masks_of_another_size_are_brought_to_that_of_the_features():
    embedding = random_latents(0)
    labels = np.random.default_rng(1).integers(3, size=embedding.shape[:3])
    masks = np.eye(3, dtype=np.float32)[labels]
    large = masks.repeat(3, axis=1).repeat(3, axis=2)
    np.testing.assert_allclose(
        segment_latents(embedding, large).vectors,
        segment_latents(embedding, masks).vectors,
        atol=1e-5,
    )


def test_an_empty_segment_has_the_zero_vector():
    embedding = random_latents(0)
    masks = np.zeros((*embedding.shape[:3], 3), np.float32)
    masks[:, :4, :, 0] = masks[:, 4:, :, 2] = 1
    vectors, similarity = segment_latents(embedding, masks)
    assert (vectors[1] == 0).all()
    assert (similarity[1] == 0).all()
    assert np.abs(vectors[[0, 2]]).max(axis=1).min() > 0


def test_segments_that_share_a_motion_are_the_most_similar():
    rng = np.random.default_rng(0)
    labels = rng.integers(4, size=(2, 12, 16))
    prototypes = rng.normal(size=(3, 8))[[0, 1, 2, 1]]  # segments 1 and 3 alike
    embedding = prototypes[labels] + 0.3 * rng.normal(size=(*labels.shape, 8))
    _, similarity = segment_latents(embedding, np.eye(4)[labels])
    others = similarity - np.diag(np.full(4, np.inf))
    assert np.unravel_index(others.argmax(), (4, 4)) in {(1, 3), (3, 1)}


@few
@given(st.integers(0, 10**6))
def test_components_are_those_of_the_singular_value_decomposition(seed):
    embedding = random_latents(seed)
    found = latent_map(embedding)
    sites = standardized(embedding)
    _, values, components = np.linalg.svd(sites, full_matrices=False)
    shares = values**2 / (values**2).sum()
    np.testing.assert_allclose(found.explained, shares[:3], atol=1e-4)

    expected = sites @ components[:3].T
    assume(has_own_axes(shares[:4], expected))
    expected *= np.sign((expected**3).sum(0))
    np.testing.assert_allclose(found.projections.reshape(-1, 3), expected, atol=0.01)
    powers = np.exp(expected)
    softmax = powers / powers.sum(1, keepdims=True)
    np.testing.assert_allclose(found.softmax.reshape(-1, 3), softmax, atol=0.01)
    clear = np.abs(softmax[:, 0] - 0.7) > 0.02
    foreground = found.foreground.reshape(-1)
    np.testing.assert_array_equal(foreground[clear], (softmax[:, 0] > 0.7)[clear])


@few
@given(st.integers(0, 10**6), st.permutations(range(6)))
def test_the_map_knows_no_scale_sign_or_order_of_the_features(seed, order):
    embedding = random_latents(seed)
    rng = np.random.default_rng(seed + 1)
    scale = rng.choice([-1, 1], 6) * 10.0 ** rng.uniform(-1, 1, 6)
    changed = (embedding * scale + rng.normal(size=6)).astype(np.float32)[..., order]
    found, again = latent_map(embedding), latent_map(changed)
    np.testing.assert_allclose(again.explained, found.explained, atol=1e-3)
    first = found.projections[..., :1]
    assume(has_own_axes(found.explained[:2], first.reshape(-1, 1)))
    np.testing.assert_allclose(again.projections[..., :1], first, atol=0.05)


@few
@given(st.integers(0, 10**6))
def test_the_map_treats_all_frames_as_one(seed):
    """The analysis is of the whole clip: frames in another order, the same map in that order."""
    embedding = random_latents(seed, (4, 6, 8, 5))
    order = np.random.default_rng(seed).permutation(4)
    found, again = latent_map(embedding), latent_map(embedding[order])
    assume(has_own_axes(found.explained, found.projections.reshape(-1, 3)))
    np.testing.assert_allclose(again.softmax, found.softmax[order], atol=1e-3)


def test_the_foreground_is_a_small_part_that_differs():
    rng = np.random.default_rng(0)
    moving = np.zeros((3, 24, 32), bool)
    for t in range(3):
        moving[t, 6:14, 5 + 4 * t : 15 + 4 * t] = True
    contrast = np.linspace(1, 2, 16) * rng.choice([-1, 1], 16)
    embedding = moving[..., None] * contrast + 0.2 * rng.normal(size=(3, 24, 32, 16))
    found = latent_map(embedding).foreground
    assert (found & moving).sum() / (found | moving).sum() > 0.95


def test_the_picture_shows_four_rows_and_the_colors_of_the_softmax():
    embedding = random_latents(0, (2, 8, 12, 4))
    flow = np.random.default_rng(0).normal(size=(2, 8, 12, 2)).astype(np.float32)
    found = latent_map(embedding)
    picture = latent_picture(flow, random_masks(1, (2, 8, 12)), found)
    height, width = 160 + 4, 240 + 4
    assert picture.shape == (4 * height, 2 * width, 3)
    assert picture.dtype == np.uint8
    # The middle of a site, enlarged bilinearly: its own color, nearly.
    colors = picture[2 * height + 2 : 3 * height - 2, 2 : width - 2][9::20, 9::20]
    np.testing.assert_allclose(colors, 255 * found.softmax[0], atol=12)
    binary = picture[3 * height + 2 : -2, 2 : width - 2][9::20, 9::20, 0]
    np.testing.assert_array_equal(binary > 0, found.foreground[0])


def test_what_is_written_can_be_read(tmp_path):
    embedding = random_latents(0, (2, 8, 12, 4))
    masks = random_masks(1, (2, 16, 24))
    flow = np.zeros((2, 16, 24, 2), np.float32)
    segments = write_latents(tmp_path / "new", flow, masks, embedding)
    with np.load(tmp_path / "new" / "latents.npz") as stored:
        np.testing.assert_array_equal(stored["similarity"], segments.similarity)
        np.testing.assert_array_equal(stored["foreground"], latent_map(embedding).foreground)
        assert stored["vectors"].shape == (3, 4)
    assert sorted(p.name for p in (tmp_path / "new").iterdir()) == ["latents.npz", "latents.png"]
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        write_latents(tmp_path / "file", flow, masks, embedding)


def test_shapes_that_do_not_belong_together_are_refused():
    embedding = random_latents(0)
    with pytest.raises(ValueError, match=r"expected \[T, h, w, E\]"):
        normalize_latents(embedding[0])
    with pytest.raises(ValueError, match="valid of shape"):
        normalize_latents(embedding, np.ones((1, 2, 3)))
    with pytest.raises(ValueError, match="masks of shape"):
        segment_latents(embedding, random_masks(0, (2, 8, 10)))
    with pytest.raises(ValueError, match="2 features"):
        latent_map(embedding[..., :2])
