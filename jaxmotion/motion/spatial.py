"""Spatial motion models: every one is a linear embedding into the full quadratic's 12 parameters.

The full quadratic writes each flow component over the six monomials of `POWERS`. A smaller model
is a matrix `[2, 6, S]`: component, monomial, parameter. Everything downstream (evaluation, the
fit, conversion of coordinates) works on the six monomials and never asks which model it is.
"""

import numpy as np

# x**a * y**b of the monomials 1, x, y, x², xy, y².
POWERS = ((0, 0), (1, 0), (0, 1), (2, 0), (1, 1), (0, 2))


def coordinates(size: int) -> np.ndarray:
    """Sample positions in [-1, 1]: `linspace(-1, 1, size)`; a single sample lies at 0."""
    return np.linspace(-1.0, 1.0, size) if size > 1 else np.zeros(size)


def _two_components(monomials: int) -> np.ndarray:
    """Both components over the first `monomials` monomials, with parameters of their own."""
    embedding = np.zeros((2, 6, 2 * monomials))
    for component in range(2):
        for j in range(monomials):
            embedding[component, j, component * monomials + j] = 1.0
    return embedding


def _planar() -> np.ndarray:
    """Rigid plane: u = p1 + p2 x + p3 y + p7 x² + p8 xy, v = p4 + p5 x + p6 y + p7 xy + p8 y²."""
    embedding = np.zeros((2, 6, 8))
    embedding[0, [0, 1, 2, 3, 4], [0, 1, 2, 6, 7]] = 1.0
    embedding[1, [0, 1, 2, 4, 5], [3, 4, 5, 6, 7]] = 1.0
    return embedding


_EMBEDDINGS = {
    "translation": _two_components(1),
    "affine": _two_components(3),
    "planar": _planar(),
    "quadratic": _two_components(6),
}
SPATIAL_MODELS = tuple(_EMBEDDINGS)


def spatial_embedding(spatial: str) -> np.ndarray:
    """The embedding of a spatial model into the full quadratic.

    Args:
        spatial: "translation" (2 parameters), "affine" (6), "planar" (8: the flow of a rigid plane,
            u and v share two parameters) or "quadratic" (12).

    Returns:
        `[2, 6, S]`: component (u, v), monomial of `POWERS`, parameter.

    References:
        Thesis eq. 1.3 (planar, in the form that follows from eq. 1.2), 3.1 and 4.1.
    """
    return _EMBEDDINGS[spatial].copy()
