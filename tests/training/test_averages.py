"""Power averages against sums, quadrature and the published algorithm."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.training import averages

STEPS, EVERY, KEPT = 4000, 200, (0.05, 0.1)


def profile(width, at, k):
  """Weight of the params after the k-th of `at` updates, float64."""
  power = averages.exponent(width) + 1
  return np.where(k <= at, np.minimum(k / at, 1)**power
                  - np.minimum((k - 1) / at, 1)**power, 0)


@pytest.mark.parametrize('width', [.02, .05, .1, .25])
def test_the_width_is_the_standard_deviation_of_the_profile(width):
  gamma = averages.exponent(width)
  mid = (np.arange(10**5) + .5) / 10**5
  weight = (gamma + 1) * mid**gamma / 10**5
  mean = (weight * mid).sum()
  got = np.sqrt((weight * (mid - mean)**2).sum())
  np.testing.assert_allclose(got, width, rtol=1e-6)  # the rule's error: 1e-9


def test_the_published_exponents():
  """arXiv:2312.02696, section 3.2: 0.05 and 0.10 are gamma 16.97 and 6.94."""
  np.testing.assert_allclose([averages.exponent(w) for w in KEPT],
                             [16.97, 6.94], atol=5e-3)


def test_decays_make_the_weights_of_the_profile():
  """In float32: each of n updates rounds the decay and the average."""
  n = np.arange(1, 301)
  decay = np.asarray(averages.power(.1)(jnp.asarray(n)), np.float64)
  assert decay[0] == 0  # of the initial params nothing is left
  weights = (1 - decay) * np.append(np.cumprod(decay[:0:-1])[::-1], 1)
  np.testing.assert_allclose(weights, profile(.1, 300, n),
                             atol=300 * 2.0**-24)


@pytest.mark.parametrize('num', [1, 10, 100])
def test_an_early_exponential_average_has_forgotten_the_first_params(num):
  """However long its memory: prod (1 + k) / (10 + k) = 10 / C(n + 10, 9)."""
  decay = np.asarray(averages.ema(.9999)(jnp.arange(1, num + 1)), np.float64)
  np.testing.assert_allclose(
      decay.prod(), 10 / math.comb(num + 10, 9), rtol=num * 2.0**-23)


def _trajectory():
  """Params [STEPS, 3] that fall, swing, and walk at random, float64."""
  t = np.arange(1, STEPS + 1) / STEPS
  walk = np.random.default_rng(0).normal(size=STEPS).cumsum()
  return np.stack([np.exp(-5 * t), np.sin(12 * t), walk / STEPS**.5], 1)


def _snapshots():
  t, width = np.meshgrid(np.arange(EVERY, STEPS + 1, EVERY), KEPT)
  return t.ravel(), width.ravel()


@pytest.mark.parametrize('width', [.015, .03, .05, .07, .1, .15, .25])
def test_another_width_is_that_of_the_whole_trajectory(width):
  """To the bound of Cauchy and Schwarz: the norm of what is left of the
  profile, by sums, times that of the trajectory about its mean."""
  theta, k = _trajectory(), np.arange(1, STEPS + 1)
  t, widths = _snapshots()
  x = averages.combination(t, widths, width, STEPS)
  np.testing.assert_allclose(x.sum(), 1, rtol=1e-12)
  profiles = np.stack([profile(*pair, k) for pair in zip(widths, t)])
  want, left = profile(width, STEPS, k), x @ profiles
  error = np.abs(x @ (profiles @ theta) - want @ theta)
  rest = np.linalg.norm(left - want)
  bound = rest * np.linalg.norm(theta - theta.mean(0), axis=0)
  assert (error <= bound + 1e-9).all()
  # Small beside the profile, but for one as narrow as the time of a save.
  assert rest < (.35 if width < .03 else .07) * np.linalg.norm(want)
  # Rounding of the snapshots is not blown up.
  assert np.abs(x).sum() < 100


def test_a_width_that_is_kept_is_itself_alone():
  t, widths = _snapshots()
  x = averages.combination(t, widths, KEPT[1], STEPS)
  alone = (t == STEPS) & (widths == KEPT[1])
  np.testing.assert_allclose(x, alone, atol=1e-6)


def test_overlaps_are_integrals():
  mid = (np.arange(10**5) + .5) / 10**5

  def p(t, gamma):
    return np.where(mid < t, (gamma + 1) * mid**gamma / t**(gamma + 1), 0)

  for a, b in (((.4, 3.), (1., 5.)), ((1., 5.), (.4, 3.)), ((1., 2.),) * 2):
    got = averages.overlap(*map(np.float64, (*a, *b)))
    np.testing.assert_allclose(got, (p(*a) * p(*b)).mean(), rtol=1e-4)


def test_widths_out_of_range_are_refused():
  for width in (0.0, .29, np.nan):
    with pytest.raises(ValueError, match='^power: width must be above 0'):
      averages.power(width)
  with pytest.raises(ValueError, match='^combination: updates must hold'):
    averages.combination(np.zeros(0), np.zeros(0), .1, 5)


def test_averages_have_the_names_that_weights_are_asked_for_by():
  found = averages.named(.9, (.05, .1))
  assert list(found) == ['ema', 'ema:0.05', 'ema:0.1']
  assert jax.eval_shape(found['ema:0.1'], jnp.int32(3)).dtype == jnp.float32
