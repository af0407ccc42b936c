"""Paths through loss space that can be drawn by hand."""

import numpy as np
import pytest

from headworks.measures import geometry


def embedded(path, n_tokens, seed=0):
    """A planar path in an isometric random plane of loss space, off the origin."""
    rng = np.random.default_rng(seed)
    plane, _ = np.linalg.qr(rng.normal(size=(n_tokens, 2)))
    return np.asarray(path, dtype=float) @ plane.T + rng.normal(size=n_tokens)


CORNER = [(0, 0), (1, 0), (2, 0), (3, 0), (3, 1), (3, 2)]
STRAIGHT = [(0, 0), (2, 0), (4, 0)]


@pytest.mark.parametrize("n_tokens", [4, 50])
def test_pca_keeps_the_shape_of_planar_paths(n_tokens):
    both = embedded(CORNER + STRAIGHT, n_tokens)
    paths, shares = geometry.per_token_pca([both[:6], both[6:]])
    assert [len(p) for p in paths] == [6, 3]
    assert shares.sum() == pytest.approx(1)
    assert shares[0] > shares[1]
    flat = np.concatenate(paths)
    assert flat.mean(0) == pytest.approx(0, abs=1e-9)
    expected = np.linalg.norm(both[:, None] - both[None], axis=-1)
    assert np.linalg.norm(flat[:, None] - flat[None], axis=-1) == pytest.approx(expected)
    assert geometry.turning_angle(paths[0], 3, 3) == pytest.approx(90)
    assert geometry.turning_angle(paths[1], 1, 1) == pytest.approx(0, abs=1e-4)


def test_pca_signs_are_fixed():
    both = embedded(CORNER, 50)
    (path,), _ = geometry.per_token_pca([both])
    for component in path.T:
        assert component[np.abs(component).argmax()] > 0


def test_share_of_variance_counts_what_the_plane_leaves_out():
    cube = np.vstack([np.eye(3), -np.eye(3)]) * [3, 2, 1]
    _, shares = geometry.per_token_pca([cube])
    assert shares == pytest.approx([9 / 14, 4 / 14])


def test_turning_angle_skips_the_window():
    path = [(0, 0), (1, 0), (1.5, 3), (1, 1), (0, 1)]
    assert geometry.turning_angle(path, 1, 3) == pytest.approx(180)
    assert np.isnan(geometry.turning_angle(path, 0, 3))
    assert np.isnan(geometry.turning_angle(path, 1, 4))


def test_projection_on_the_direction_of_the_change():
    u = geometry.direction([1, 1, 1], [1, 4, 5])
    assert u == pytest.approx([0, 0.6, 0.8])
    undoing = -0.5 * (np.array([1, 4, 5]) - 1)
    assert geometry.projection([undoing, [7, 0, 0]], u) == pytest.approx([-2.5, 0])
    assert geometry.projection(undoing, 10 * u) == pytest.approx(-2.5)
