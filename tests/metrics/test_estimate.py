"""Intervals, against what fresh draws do and against scipy."""

import functools

import numpy as np
import pytest
import scipy.stats

from genjax.metrics.estimate import by_halves
from genjax.metrics.estimate import jackknife
from genjax.metrics.estimate import of_mean
from genjax.metrics.estimate import share
from genjax.metrics.estimate import share_by_halves
from genjax.metrics.estimate import share_in_mix


def test_by_halves_covers_the_truth_nineteen_times_in_twenty():
  """Of a difference of means, whose standard error is known."""
  rng = np.random.default_rng(0)
  covered, widths = [], []
  for _ in range(300):
    a, b = rng.normal(1.0, 2.0, 100), rng.normal(0.0, 1.0, 60)
    got = by_halves(lambda i, j: a[i].mean() - b[j].mean(), 100, 60)
    covered.append(got.low < 1.0 < got.high)
    widths.append(got.high - got.low)
  # 300 trials have a standard error of 1.3 %.
  assert abs(np.mean(covered) - 0.95) < 3 * 0.013
  want = 2 * scipy.stats.t(19).ppf(0.975) * np.sqrt(4 / 100 + 1 / 60)
  np.testing.assert_allclose(np.mean(widths), want, rtol=0.05)


def test_by_halves_gives_the_statistic_of_all_rows():
  x = np.arange(10.0)
  got = by_halves(lambda i: x[i].sum(), 10)
  assert got.value == 45 and got.low < 45 < got.high


@pytest.mark.parametrize('sizes, halves, message', [
    ((3,), 20, '4 rows or more, got 3'), ((9,), 1, 'num_halves must be 2'),
])
def test_by_halves_refuses_what_has_no_spread(sizes, halves, message):
  with pytest.raises(ValueError, match=message):
    by_halves(lambda i: 0.0, *sizes, num_halves=halves)


def test_share_by_halves_of_independent_examples_has_the_interval_of_share():
  """20 halves tell a standard deviation to 16 %, 300 to 4 %."""
  right = np.arange(200) < 150
  found = share_by_halves(lambda i: right[i].mean(), 200, num_halves=300)
  np.testing.assert_allclose(found, share(right), atol=0.12 * 0.06)
  sure = share_by_halves(lambda i: 1.0, 200)
  np.testing.assert_allclose(sure, share(np.ones(200, bool)), rtol=1e-12)


def test_share_by_halves_counts_the_independent_examples():
  """Of 500 rows the share looks at 100 only: the interval of 100."""
  right = np.arange(100) < 80
  found = share_by_halves(lambda i: right[i[i < 100]].mean(), 500,
                          num_halves=300)
  np.testing.assert_allclose(found, share(right), atol=0.12 * 0.08)


@pytest.mark.parametrize('value', [0.0, 0.01, 0.99, 1.0])
def test_share_by_halves_stays_within_0_and_1(value):
  """Where halves vary more than a share so near the end can."""
  rng = np.random.default_rng(0)
  found = share_by_halves(
      lambda i: value if len(i) == 50 else rng.random(), 50)
  assert 0 <= found.low <= value <= found.high <= 1
  assert found.high - found.low > 0.3


def test_jackknife_takes_away_a_bias_of_one_over_n():
  """Of the plug-in variance: it gives the unbiased one, where groups are rows;
  and for a mean the interval of Student."""
  x = np.random.default_rng(0).normal(size=30)
  got = jackknife(lambda i: x[i].var(), 30, num_groups=30)
  np.testing.assert_allclose(got.value, x.var(ddof=1), rtol=1e-10)
  got = jackknife(lambda i: x[i].mean(), 30, num_groups=30)
  known = scipy.stats.ttest_1samp(x, 0).confidence_interval(0.95)
  np.testing.assert_allclose(got, [x.mean(), known.low, known.high], rtol=1e-10)


def test_jackknife_covers_the_truth_nineteen_times_in_twenty():
  """The square of a difference of means, biased upwards by their variances."""
  rng = np.random.default_rng(0)
  found = np.array([jackknife(
      lambda i, j, a=a, b=b: (a[i].mean() - b[j].mean())**2, 100, 60)
                    for a, b in ((rng.normal(2, 2, 100), rng.normal(0, 1, 60))
                                 for _ in range(300))])
  value, low, high = found.T
  assert abs(value.mean() - 4) < 3 * value.std() / np.sqrt(300)
  # 300 trials have a standard error of 1.3 %.
  assert abs(np.mean((low < 4) & (4 < high)) - 0.95) < 3 * 0.013


@pytest.mark.parametrize('sizes, groups, message', [
    ((30, 19), 20, 'num_groups = 20 rows or more, got 19'),
    ((9,), 1, 'num_groups must be 2'),
])
def test_jackknife_refuses_what_has_no_groups(sizes, groups, message):
  with pytest.raises(ValueError, match=message):
    jackknife(lambda *rows: 0.0, *sizes, num_groups=groups)


@pytest.mark.parametrize('right, num', [(0, 1), (3, 7), (295, 297), (297, 297)])
def test_share_has_the_interval_of_wilson(right, num):
  """As scipy has it, in float64."""
  found = share(np.arange(num) < right)
  known = scipy.stats.binomtest(right, num).proportion_ci(method='wilson')
  np.testing.assert_allclose(
      found, [right / num, known.low, known.high], rtol=1e-12, atol=1e-15)


def test_share_covers_what_it_estimates():
  """In 95 % of sets, less than 3 standard errors and Wilson's own .01 off."""
  rng = np.random.default_rng(0)
  found = [share(rng.random(100) < 0.9) for _ in range(1000)]
  held = np.mean([e.low <= 0.9 <= e.high for e in found])
  assert abs(held - 0.95) < 3 * np.sqrt(0.95 * 0.05 / 1000) + 0.01


def test_share_in_a_mix_is_that_of_groups_as_often_as_they_are_mixed():
  """With the interval of fewer: of two groups of n, in a mix of 1 to 3, 16 / 20
  of 2 n are left. In the mix that they have it is an ordinary share."""
  of_two = functools.partial(share_in_mix, [80, 30], [100, 100])
  np.testing.assert_allclose(of_two([1, 3]), share(np.arange(160) < 68),
                             rtol=1e-12)
  np.testing.assert_allclose(of_two([7, 7]), share(np.arange(200) < 110),
                             rtol=1e-12)
  np.testing.assert_allclose(share_in_mix([3, 0, 40], [10, 0, 50], [0, 9, 2]),
                             share(np.arange(50) < 40), rtol=1e-12)
  assert np.isnan(share_in_mix([3, 0], [10, 0], [0, 1])).all()
  with pytest.raises(ValueError, match=r'^share_in_mix: .* must be \[K\]'):
    share_in_mix([1, 2], [3], [1, 1])


def test_share_in_a_mix_covers_what_it_estimates():
  """As `share` does, of groups that are right as seldom as often."""
  rng, mix, truth = np.random.default_rng(0), np.array([2, 1, 1]), [.9, .5, .7]
  found = [share_in_mix(rng.binomial([60, 90, 30], truth), [60, 90, 30], mix)
           for _ in range(1000)]
  held = np.mean([e.low <= .75 <= e.high for e in found])
  assert abs(held - .95) < 3 * np.sqrt(.95 * .05 / 1000) + .01


def test_share_of_nothing_is_refused():
  with pytest.raises(ValueError, match='must hold an example'):
    share(np.zeros(0, bool))


def test_of_mean_covers_the_truth_as_often_as_it_says():
  """5 values: Student's t covers 95 %, a Gaussian's 1.96 errors 88 %."""
  values = np.random.default_rng(0).normal(0.9, 0.02, (4000, 5))
  found = [of_mean(row) for row in values]
  covered = np.mean([e.low <= 0.9 <= e.high for e in found])
  # 4 standard errors of a share of 4000.
  assert abs(covered - 0.95) < 4 * np.sqrt(0.95 * 0.05 / 4000)
  want = scipy.stats.t.interval(0.95, 4, values[0].mean(),
                                scipy.stats.sem(values[0]))
  np.testing.assert_allclose(found[0][1:], want, rtol=1e-12)
  with pytest.raises(ValueError, match='of_mean: values must hold 2 or more'):
    of_mean(values[0, :1])


def test_intervals_do_not_depend_on_the_type_of_the_statistic():
  """Deviations of 1e-25 have squares that float32 takes for 0; and 19 times a
  number of 24 bits is rounded, in units of 1e-7 of it."""
  x = np.random.default_rng(0).normal(1, 1e-3, 40).astype(np.float32)
  tiny = x * np.float32(2.0**-90)
  for interval in (by_halves, jackknife):
    want = interval(lambda i: float(x[i].mean()), 40)
    got = interval(lambda i: x[i].mean(), 40)
    np.testing.assert_array_equal(got, want)
    got = np.array(interval(lambda i: tiny[i].mean(), 40)) * 2.0**90
    np.testing.assert_allclose(got, want, rtol=1e-6)
  np.testing.assert_array_equal(of_mean(x), of_mean(x.astype(np.float64)))
  half = x.astype(np.float16)
  np.testing.assert_array_equal(of_mean(half), of_mean(half.astype(float)))


@pytest.mark.parametrize('found', [
    by_halves(lambda i: np.nan if len(i) < 9 and i[0] else 0.5, 9),
    share_by_halves(lambda i: np.nan if len(i) < 9 and i[0] else 0.5, 9),
    jackknife(lambda i: np.nan if len(i) < 9 and i[0] else 0.5, 9,
              num_groups=3), of_mean(np.array([1, np.nan])),
    share(np.array([1, np.nan]))])
def test_interval_is_nan_where_a_half_is(found):
  assert np.isnan(found.low) and np.isnan(found.high)
