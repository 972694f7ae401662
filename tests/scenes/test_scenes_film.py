"""The film of the demo: its flow brings its frames and labels together, things do as they say."""

import cv2
import numpy as np
import pytest

from jaxmotion.scenes.film import THINGS, Thing, draw_film

SIZE = (96, 128)


@pytest.fixture(scope="module")
def film():
    return draw_film(8, *SIZE, seed=3)


def test_shapes(film):
    assert (film.frames.shape, film.frames.dtype) == ((8, *SIZE, 3), np.uint8)
    assert (film.flow.shape, film.labels.shape) == ((7, *SIZE, 2), (8, *SIZE))
    assert set(np.unique(film.labels)) == {0, 1, 2}


def test_the_flow_brings_the_frames_together(film):
    y, x = np.mgrid[: SIZE[0], : SIZE[1]].astype(np.float32)
    for t in (0, 4, 6):
        to = np.stack([x, y], axis=-1) + film.flow[t]
        pictures = film.frames[t + 1].astype(np.float32)
        match = cv2.remap(pictures, to[..., 0], to[..., 1], cv2.INTER_LINEAR)
        after = film.labels[t + 1][
            np.rint(to[..., 1]).astype(int).clip(0, SIZE[0] - 1),
            np.rint(to[..., 0]).astype(int).clip(0, SIZE[1] - 1),
        ]
        inside = np.all((to > 1) & (to < np.array(SIZE[::-1]) - 2), axis=-1)
        same = inside & (after == film.labels[t])
        assert same.mean() > 0.85
        error = np.abs(match - film.frames[t])[same].mean()
        still = np.abs(pictures - film.frames[t])[same].mean()
        assert error < 5
        assert error < 0.5 * still
        assert (after != film.labels[t])[inside].mean() < 0.02


def test_a_thing_rests_and_then_goes():
    thing = Thing(0.2, (0.5, 0.5), (0.05, 0.0), rest=0.5)
    film = draw_film(8, *SIZE, things=(thing,))
    ground = np.median(film.flow[:, ~film.labels[:-1].any(0)], axis=1)
    inside = np.all(film.labels[:-1] == 1, axis=0)
    own = np.median(film.flow[:, inside], axis=1) - ground
    np.testing.assert_allclose(own[:4], 0, atol=0.2)
    np.testing.assert_allclose(own[4:, 0], 0.05 * SIZE[0], atol=0.2)


def test_the_same_seed_gives_the_same_film(film):
    again, other = draw_film(8, *SIZE, seed=3), draw_film(8, *SIZE, seed=4)
    np.testing.assert_array_equal(again.frames, film.frames)
    assert (other.frames != film.frames).mean() > 0.5
    assert len(THINGS) == 2


def test_a_film_of_one_frame_has_no_flow():
    assert draw_film(1, *SIZE).flow.shape == (0, *SIZE, 2)
