"""Laws of the 2-D sets: each draw is curve(label, u) + noise, u uniform.

The inverse of each curve is written here from the documented geometry, so
that the whole law is tested: labels and u are uniform and independent, points
lie on their curve, and the noise is Gaussian of the stated scale.
"""

import chex
import jax
import numpy as np
import pytest
from scipy import stats

from genjax.data import sources
from genjax.data import toy

N = 4000
P = 1e-3  # a fixed seed either passes or not; a right law fails once in 1000


def _moons(x, label):
  """(coordinates u [N, .] on [0, 1], distance to the curve [N])."""
  y = x / 1.2 + [0.5, 0.25]
  y = np.where(label[:, None] == 0, y, [1, 0.5] - y)
  u = np.arctan2(y[:, 1], y[:, 0]) / np.pi
  return u[:, None], abs(np.linalg.norm(y, axis=1) - 1)


def _rings(x, label):
  u = np.arctan2(x[:, 1], x[:, 0]) / (2 * np.pi) % 1
  radius = np.array([0.6, 1.2, 1.8])[label]
  return u[:, None], abs(np.linalg.norm(x, axis=1) - radius)


def _spirals(x, label):
  r = np.linalg.norm(x, axis=1)
  angle = 3 * np.pi * r / 1.8
  sign = np.where(label == 0, 1, -1)
  curve = (sign * r)[:, None] * np.stack([np.cos(angle), np.sin(angle)], -1)
  return (r / 1.8)[:, None] ** 2, np.linalg.norm(x - curve, axis=1)


def _xor(x, label):
  signs = np.sign(x)
  right = signs[:, 0] * signs[:, 1] == 1 - 2 * label
  inside = np.all((abs(x) > 0.2 - 1e-6) & (abs(x) < 1.8 + 1e-6), axis=1)
  u = (abs(x) - 0.2) / 1.6
  u[:, 0] = (1 + signs[:, 0] * u[:, 0]) / 2  # the gap is left out
  return u, 1.0 - (right & inside)


def _checkerboard(x, label):
  square = np.floor(x + 2)
  column = label // 2
  outside = (square[:, 0] != column) | (
      square[:, 1] != 2 * (label % 2) + column % 2)
  assert np.all(square.sum(1) % 2 == 0)  # dark squares only
  return (x + 2) % 1, outside.astype(float)


def _eight_gaussians(x, label):
  _, means, scale = toy.eight_gaussians_mixture()
  return stats.norm.cdf((x - means[label]) / scale), np.zeros(len(x))


def _swiss_roll(x, label):
  r = np.linalg.norm(x, axis=1)
  angle = r * 4.5 * np.pi / 1.8
  curve = r[:, None] * np.stack([np.cos(angle), np.sin(angle)], -1)
  u = (angle - 1.5 * np.pi) / (3 * np.pi)
  # The half turn is the label; what is left of u is uniform within it.
  off = (3 * u < label - 1e-4) | (3 * u > label + 1 + 1e-4)
  return (3 * u - label)[:, None], np.linalg.norm(x - curve, axis=1) + off


CURVES = {
    'moons': _moons,
    'rings': _rings,
    'spirals': _spirals,
    'xor': _xor,
    'checkerboard': _checkerboard,
    'eight_gaussians': _eight_gaussians,
    'swiss_roll': _swiss_roll,
}
# Standard deviation of the noise in final coordinates, for `noise` = 1.
NOISE = {'moons': 1.2, 'rings': 1.0, 'spirals': 1.0, 'swiss_roll': 1.0}
EACH_SET = pytest.mark.parametrize('name', CURVES)


def _draw(name, seed=0, **options):
  draw = toy.toy_source(name, N, seed, **options).arrays
  return draw['x'].astype(np.float64), draw['label']


def _noiseless(name):
  return _draw(name, **({'noise': 0.0} if name in NOISE else {}))


def test_sets_are_all_tested():
  assert set(CURVES) == set(toy.SETS) == set(toy.NUM_CLASSES)


@EACH_SET
def test_set_lies_on_its_curves(name):
  _, distance = CURVES[name](*_noiseless(name))
  assert distance.max() < 1e-5  # float32 coordinates of size 2


@EACH_SET
def test_set_labels_are_uniform_and_independent(name):
  _, label = _draw(name)
  classes = toy.NUM_CLASSES[name]
  assert stats.chisquare(np.bincount(label, minlength=classes)).pvalue > P
  # A regular or sorted sequence of labels fails on pairs of neighbours.
  pairs = label[0::2] * classes + label[1::2]
  count = np.bincount(pairs, minlength=classes**2)
  assert stats.chisquare(count).pvalue > P


@EACH_SET
def test_set_coordinate_is_uniform_within_each_label(name):
  x, label = _noiseless(name)
  u, _ = CURVES[name](x, label)
  for k in range(toy.NUM_CLASSES[name]):
    for column in u[label == k].T:
      assert stats.kstest(column, 'uniform').pvalue > P


@EACH_SET
def test_set_is_an_independent_sample_not_a_grid(name):
  u, _ = CURVES[name](*_noiseless(name))
  # The m = N + 1 spacings of N uniforms have E[m sum s^2] = 2 N / (N + 2) to
  # order 1/N, of standard deviation 2/sqrt(N) (Greenwood's statistic); those
  # of a grid give 1.
  spacing = np.diff(np.concatenate([[0], np.sort(np.clip(u[:, 0], 0, 1)),
                                    [1]]))
  greenwood = len(spacing) * np.sum(spacing**2)
  assert abs(greenwood - 2) < 5 * 2 / np.sqrt(N)
  # Neighbours in the sequence are uncorrelated: five standard errors.
  assert abs(np.corrcoef(u[:-1, 0], u[1:, 0])[0, 1]) < 5 / np.sqrt(N)


@pytest.mark.parametrize('name', NOISE)
@pytest.mark.parametrize('noise', [0.05, 0.3])
def test_set_noise_is_gaussian_of_the_stated_scale(name, noise):
  noisy, label = _draw(name, noise=noise)
  clean, _ = _draw(name, noise=0.0)
  residual = (noisy - clean) / (noise * NOISE[name])
  assert stats.kstest(residual.ravel(), 'norm').pvalue > P
  assert abs(np.corrcoef(residual.T)[0, 1]) < 5 / np.sqrt(N)
  # A key used twice makes the noise of one point the place of another.
  u, _ = CURVES[name](clean, label)
  for column in (*residual.T, residual.ravel()[:N]):
    assert abs(np.corrcoef(column, u[:, 0])[0, 1]) < 5 / np.sqrt(N)


@EACH_SET
def test_set_keeps_shapes_types_and_range(name):
  draw = toy.toy_source(name, N, 3).arrays
  chex.assert_shape([draw['x'], draw['label']], [(N, 2), (N,)])
  chex.assert_type([draw['x'], draw['label']], [np.float32, np.int32])
  # Noise of at most .12 about a figure within 1.8: five deviations.
  assert np.abs(draw['x']).max() < 2.4
  assert 0.7 < np.std(draw['x']) < 1.3


@EACH_SET
def test_set_depends_on_the_key_only(name):
  first, again, other = (_draw(name, seed)[0] for seed in (1, 1, 2))
  np.testing.assert_array_equal(first, again)
  assert np.mean(first == other) < 0.01


@pytest.mark.parametrize('turns', [1.0, 2.5])
def test_spirals_have_the_turns_asked_for(turns):
  x, label = _draw('spirals', noise=0.0, turns=turns)
  r = np.linalg.norm(x, axis=1)
  angle = 2 * np.pi * turns * r / 1.8 + np.pi * label
  curve = r[:, None] * np.stack([np.cos(angle), np.sin(angle)], -1)
  np.testing.assert_allclose(x, curve, atol=1e-5)  # float32 of size 2
  assert stats.kstest((r / 1.8)**2, 'uniform').pvalue > P


def test_eight_gaussians_mixture_is_the_law_of_the_draws():
  weights, means, scale = toy.eight_gaussians_mixture()
  chex.assert_shape([weights, means], [(8,), (8, 2)])
  np.testing.assert_allclose(weights.sum(), 1, rtol=1e-15)
  np.testing.assert_allclose(np.linalg.norm(means, axis=1), 1.6, rtol=1e-15)
  assert scale == 0.12
  x, label = _draw('eight_gaussians', seed=5)
  # Every marginal coordinate against the mixture's own distribution function,
  # along several directions, without looking at the labels.
  for angle in (0.0, 0.4, 1.1, 2.5):
    direction = np.array([np.cos(angle), np.sin(angle)])

    def cdf(z, centres=means @ direction):
      return stats.norm.cdf((z[:, None] - centres) / scale) @ weights
    assert stats.kstest(x @ direction, cdf).pvalue > P
  nearest = np.argmin(np.linalg.norm(x[:, None] - means, axis=-1), axis=1)
  np.testing.assert_array_equal(nearest, label)  # 4.8 deviations apart


def test_toy_source_is_the_pure_function():
  draw = toy.moons(jax.random.key(7), 20, noise=0.1)
  source = toy.toy_source('moons', 20, 7, noise=0.1)
  # jit fuses: equal up to the rounding of coordinates of size 2.
  chex.assert_trees_all_close(dict(source.arrays), dict(draw), atol=1e-6)


@EACH_SET
def test_toy_source_describes_its_classes(name):
  described = sources.describe(toy.toy_source(name, N, 0))
  assert described[:2] == (N, (2,))
  assert described.num_classes == toy.NUM_CLASSES[name]


@pytest.mark.parametrize('call, match', [
    (lambda: toy.toy_source('moon', 10, 0), "name must be one of .*'moon'"),
    (lambda: toy.toy_source('moons', 0, 0), 'n must be positive, got 0'),
    (lambda: toy.toy_source('moons', 10, -1), 'seed must be non-negative'),
    (lambda: toy.toy_source('moons', 10, 0, noise=-1.0), 'noise must be'),
    (lambda: toy.toy_source('moons', 10, 0, noise=float('nan')), 'got nan'),
])
def test_toy_source_refuses_bad_arguments(call, match):
  with pytest.raises(ValueError, match=match):
    call()


@pytest.mark.parametrize('name', toy._NOISE)
def test_law_has_the_noise_of_the_set(name):
  """4000 residuals tell a standard deviation to 4 / sqrt(8000) = 4.5 %."""
  noisy, clean = (toy.toy_source(name, 2000, 0, **options).arrays['x']
                  for options in ({}, {'noise': 0.0}))
  np.testing.assert_allclose(np.std(noisy - clean),
                             toy.law(name).scale, rtol=0.045)
