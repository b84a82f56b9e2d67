"""Whether samples of a posterior know what they do not know, by ranks.

Where the truth and its S samples are of one posterior, the rank of the truth
among them is uniform on 0 ... S (Talts et al., arXiv:1804.06788, theorem 1):
too often at the ends where samples are too alike, too seldom where they are
too far apart.
"""

import numpy as np
from scipy import special
from scipy import stats

from genjax.checks import check
from genjax.metrics.estimate import Estimate
from genjax.metrics.estimate import of_mean


def ranks(truth: np.ndarray, draws: np.ndarray, seed: int = 0) -> np.ndarray:
  """How many samples are below the truth: int [N, D], 0 ... S.

  Of samples that equal it a random number count as below.

  Args:
    truth: [N, D].
    draws: [N, S, D], samples of the posterior of each.
    seed: of the random numbers.

  Raises:
    ValueError: shapes do not fit, or something is no number.
  """
  truth, draws = np.asarray(truth), np.asarray(draws)
  check(truth.ndim == 2 and draws.ndim == 3 and draws.shape[1] > 0
        and (len(truth), truth.shape[1]) == (len(draws), draws.shape[2]),
        'ranks', 'truth and draws must be [N, D] and [N, S, D]',
        f'{truth.shape} and {draws.shape}')
  check(bool(np.isfinite(truth).all() and np.isfinite(draws).all()), 'ranks',
        'truth and draws must be finite', 'others')
  below = np.sum(draws < truth[:, None], axis=1)
  equal = np.sum(draws == truth[:, None], axis=1)
  share = np.random.default_rng(seed).random(truth.shape)
  return below + np.floor(share * (equal + 1)).astype(int)


def uniformity(found: np.ndarray, num_draws: int, num_bins: int = 8) -> float:
  """Probability of ranks as uneven as these, were they uniform.

  Pearson's chi-square over bins of ranks, close where each is expected to hold
  5 or more.

  Args:
    found: int [N], ranks of independent truths.
    num_draws: S.
    num_bins: as many, or S + 1 if that is less.

  Raises:
    ValueError: fewer than 5 ranks a bin are expected.
  """
  found, num_bins = np.asarray(found), min(num_bins, num_draws + 1)
  check(found.size >= 5 * num_bins, 'uniformity',
        f'ranks must be {5 * num_bins} or more for {num_bins} bins', found.size)
  bins = np.arange(num_draws + 1) * num_bins // (num_draws + 1)
  counts = np.bincount(bins[found], minlength=num_bins)
  expected = np.bincount(bins) / (num_draws + 1) * found.size
  return float(stats.chisquare(counts, expected).pvalue)


def spread(found: np.ndarray, num_draws: int) -> Estimate:
  """Variance of the truth in units of that of the samples, as ranks tell it.

  Mean square of the normal quantiles of ranks, over that of uniform ones: 1 is
  right, more is over-confident. Ranks at the ends bound it from above: of 31
  samples no more than 5 can be told.

  Args:
    found: int [N, D], of which rows are independent.
    num_draws: S.
  """
  quantiles = special.ndtri((np.arange(num_draws + 1) + .5) / (num_draws + 1))
  squares = np.square(quantiles)
  return of_mean(np.mean(squares[np.asarray(found)], axis=1) / squares.mean())
