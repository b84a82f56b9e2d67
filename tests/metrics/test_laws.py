"""What every metric of two sets keeps, each law written once over a table.

Units and shifts are such that the moved data are exact: what differs is the
metric's own rounding, 2^-53 of the numbers that it adds.
"""

import re
from typing import Any, Callable, NamedTuple

import jax.numpy as jnp
import numpy as np
import pytest

from genjax.metrics import classification
from genjax.metrics import frechet
from genjax.metrics import kernel
from genjax.metrics import manifold

LABELS = np.arange(60) % 3


class Metric(NamedTuple):
  """A metric of samples and data, both [60, 4], the labels being LABELS."""

  of: Callable[[np.ndarray, np.ndarray], Any]
  power: int | None  # of the unit; None where the unit is fixed
  same: Any = None  # its value for two copies of one set


def _by_class(f):
  return lambda a, b: f(a, LABELS[:len(a)], b, LABELS[:len(b)])


METRICS = {
    'precision and recall': Metric(
        lambda a, b: manifold.precision_recall(a, b)[::3], 0, (1, 1)),
    'density': Metric(lambda a, b: manifold.precision_recall(a, b).density, 0),
    'energy distance': Metric(kernel.energy_distance, 1, 0),
    'kernel distance': Metric(kernel.kernel_distance, None),
    'frechet distance': Metric(frechet.frechet_distance, 2, 0),
    'frechet distance, infinity': Metric(
        lambda a, b: frechet.frechet_distance_infinity(a, b, num_groups=5), 2),
    'nearest distances': Metric(
        lambda a, b: manifold.nearest_distances(a, b).sum(), 1, 0),
    'nearest-neighbour ratio': Metric(
        lambda a, b: manifold.nearest_neighbour_ratio(a, b, b[:, ::-1]), 0, 0),
    'diversity': Metric(_by_class(manifold.diversity), 0, 1),
    'recognition rate': Metric(_by_class(classification.recognition_rate), 0,
                               1),
    'classification accuracy score': Metric(
        _by_class(classification.classification_accuracy_score), 0, 1),
}


def sets(seed=0):
  """Whole numbers in 0..63, of three classes, three of them twice."""
  rng = np.random.default_rng(seed)
  a, b = rng.integers(0, 20, (2, 60, 4)) + 20 * LABELS[:, None]
  a[:3], b[:3] = a[3:6], a[3:6]
  return a, b


def over(kept=lambda metric: True):
  return pytest.mark.parametrize('name', [
      name for name, metric in METRICS.items() if kept(metric)])


@over(lambda metric: metric.power is not None)
@pytest.mark.parametrize('dtype', [np.float32, np.float64])
@pytest.mark.parametrize('unit', [2.0**-66, 2.0**63])  # 1e-20 and 1e19
def test_metric_is_equivariant_to_the_unit(name, dtype, unit):
  metric = METRICS[name]
  a, b = (x.astype(dtype) for x in sets())
  want = np.asarray(metric.of(a, b)) * unit**metric.power
  assert np.all(want != 0)
  np.testing.assert_allclose(metric.of(a * dtype(unit), b * dtype(unit)), want,
                             rtol=1e-9)


@over(lambda metric: metric.power is not None)
@pytest.mark.parametrize('offset', [1e6, 1e9])
def test_metric_is_invariant_to_the_origin(name, offset):
  """To 1e-5: means are rounded to offset * 2^-53, 1e-7."""
  metric = METRICS[name]
  a, b = sets()
  np.testing.assert_allclose(metric.of(a + offset, b + offset),
                             metric.of(a, b), rtol=1e-5)


@over()
@pytest.mark.parametrize('dtype', [
    np.uint8, np.int32, np.float16, jnp.bfloat16, np.float32])
def test_metric_is_the_same_of_numbers_of_any_type(name, dtype):
  """Of float64's, as all these hold 0..63 exactly; and of arrays of JAX."""
  metric = METRICS[name]
  a, b = sets()
  want = metric.of(a.astype(float), b.astype(float))
  for convert in (np.asarray, jnp.asarray):
    got = metric.of(convert(a.astype(dtype)), convert(b.astype(dtype)))
    np.testing.assert_allclose(got, want, rtol=1e-12)


@over()
@pytest.mark.parametrize('bad', [np.nan, np.inf])
@pytest.mark.parametrize('which', [0, 1])
def test_metric_of_what_is_no_number_is_none(name, bad, which):
  pair = [x.astype(np.float32) for x in sets()]
  pair[which][7, 2] = bad
  assert np.all(np.isnan(METRICS[name].of(*pair)))


@over(lambda metric: metric.same is not None)
def test_metric_of_identical_sets_is_known(name):
  """In any order of rows, many of which are copies; 0 is never below 0."""
  metric = METRICS[name]
  for seed in range(5):
    rng = np.random.default_rng(seed)
    a = rng.random((6, 256))[np.arange(60) % 6]
    order = (3 * rng.permutation(20)[:, None] + np.arange(3)).ravel()
    got = np.asarray(metric.of(a, a[order]))
    # Roots of roundings of an eigenvalue of about 10: 250 of them are 0.
    np.testing.assert_allclose(got, metric.same, atol=250 * 10 * 1.5e-8)
    assert np.all(got >= 0)


@over()
@pytest.mark.parametrize('num', [0, 1])
def test_metric_of_hardly_anything_is_a_value_or_refused(name, num):
  """In the words of the house. Of no rows there are no nearest distances."""
  a, b = sets()
  for pair in ((a[:num], b), (a, b[:num]), (a[:num], b[:num])):
    try:
      value = METRICS[name].of(*pair)
    except ValueError as error:
      assert re.match('[a-z_]+: .*, got ', str(error)), error
    else:
      assert np.isfinite(value).all() and (
          num == 1 or name == 'nearest distances')
