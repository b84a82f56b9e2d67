"""Sums of draws from a lattice against closed forms, and their theorems."""

import math

import numpy as np
import pytest
from scipy import special
from scipy import stats

from genjax.metrics import central_limit
from genjax.reports.random_experiments import EXPERIMENTS


def law_of(name):
  return central_limit.make_lattice(*EXPERIMENTS[name])


@pytest.mark.parametrize('name', EXPERIMENTS)
def test_make_lattice_moments_are_those_of_the_outcomes(name):
  values, p = map(np.asarray, EXPERIMENTS[name])
  found = law_of(name)
  mean, variance, skewness = stats.rv_discrete(values=(values, p)).stats(
      moments='mvs')
  np.testing.assert_allclose(
      (found.mean, found.scale, found.skewness),
      (mean, math.sqrt(variance), skewness), rtol=1e-12, atol=1e-12)
  third = p @ np.abs((values - mean) / math.sqrt(variance))**3
  np.testing.assert_allclose(found.third, third, rtol=1e-12)


def test_make_lattice_finds_the_lattice():
  found = central_limit.make_lattice(
      range(1, 7), (0, 0.25, 0, 0.25, 0, 0.5))
  assert (found.low, found.step) == (2, 2)
  np.testing.assert_array_equal(found.pmf, (0.25, 0.25, 0.5))


@pytest.mark.parametrize('values, p, said', [
    ((0, 1), (0.5, 0.4), 'sum to 1, got a sum of 0.9'),
    ((0, 1, 2), (1.5, -0.25, -0.25), 'must be 0 or more'),
    ((0, 1), (0.5, math.nan), 'sum to 1, got a sum of nan'),
    ((0, 1), (0.0, 1.0), 'two or more must be positive, got 1'),
])
def test_make_lattice_refuses_what_is_no_law(values, p, said):
  with pytest.raises(ValueError, match=f'probabilities: .*{said}'):
    central_limit.make_lattice(values, p)


def test_sums_of_a_coin_are_binomial():
  found = central_limit.sums(law_of('coin'), 100)
  assert list(found) == [1, 2, 4, 8, 16, 32, 64]
  for n, total in found.items():
    np.testing.assert_allclose(
        total.pmf, stats.binom(n, 0.5).pmf(np.arange(n + 1)), rtol=1e-12)


def test_standardised_sums_have_mean_zero_and_variance_one():
  for name in EXPERIMENTS:
    for z, pmf in central_limit.sums(law_of(name), 16).values():
      np.testing.assert_allclose((pmf @ z, pmf @ z**2), (0, 1), atol=1e-12)


def test_kolmogorov_distance_of_a_coin_is_half_its_central_probability():
  """At an even n the largest jump is that at the mean, of P(n/2 heads)."""
  for n, total in central_limit.sums(law_of('coin'), 1024).items():
    want = special.ndtr(1) - 0.5 if n == 1 else stats.binom(n, 0.5).pmf(n // 2)
    np.testing.assert_allclose(
        central_limit.kolmogorov_distance(total), want if n == 1 else want / 2,
        rtol=1e-10)


@pytest.mark.parametrize('name', EXPERIMENTS)
def test_distance_stays_below_its_bound_and_falls_as_its_limit(name):
  law = law_of(name)
  distances = {}
  for n, total in central_limit.sums(law, 4096).items():
    distances[n] = central_limit.kolmogorov_distance(total)
    assert distances[n] < central_limit.berry_esseen(law, n)
  # The next term of the expansion is smaller by n^-1/2, here 1/64.
  assert abs(distances[4096] / central_limit.esseen_limit(law, 4096) - 1
             ) < 2 / 64
  slope = math.log2(distances[4096] / distances[256]) / 4
  assert abs(slope + 0.5) < 0.02
