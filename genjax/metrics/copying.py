"""Whether samples copy the data that a model was trained on.

Both compare distances to the training set with those of fresh data, of which a
held-out part is the sample: no threshold is chosen by hand.
"""

import math

import numpy as np

from genjax.checks import check
from genjax.checks import check_positive
from genjax.metrics.distances import as_rows
from genjax.metrics.distances import blocks
from genjax.metrics.estimate import Estimate
from genjax.metrics.estimate import share
from genjax.metrics.manifold import nearest_distances

LEAST = 20  # rows a cell for the rank sum to be close to normal
_Z = 1.959963984540054  # of a normal's 95 %


def data_copying(
    samples: np.ndarray, train: np.ndarray, test: np.ndarray, *,
    num_cells: int = 5, seed: int = 0
) -> Estimate:
  """C_T of the three-sample test of data-copying, in standard deviations.

  Meehan et al., arXiv:2004.05675, section 4: within each cell of k-means on the
  training set the distances of samples to their nearest training point are
  ranked among those of test points; Z is the rank sum of Mann and Whitney,
  standardised (ties are halved); C_T is the mean of Z by the share of the test
  points in a cell. Below 0 samples are nearer to the training set than fresh
  data are (they copy), above 0 they are farther (they underfit). Cells with
  fewer than 20 samples or 20 test points are left out; NaN where all are, or a
  row is not finite.

  Args:
    samples: [N, ...].
    train: [T, ...].
    test: [M, ...], of the law of train, in which none of them is.
    num_cells: of k-means, at most one for 40 points of the smallest set.
    seed: of k-means.

  Returns:
    C_T; the interval is by the law of fresh data, of which Z is N(0, 1): they
    have it around 0 in 95 % of all cases.

  Raises:
    ValueError: rows of unequal size, a set without a row, or no cell.
  """
  # Slow to import.
  from scipy import stats
  from sklearn.cluster import KMeans

  samples, train, test = map(as_rows, (samples, train, test))
  _check_sets('data_copying', samples, train, test)
  check_positive('data_copying', 'num_cells', num_cells)
  if not all(np.isfinite(x).all() for x in (samples, train, test)):
    return Estimate(*[math.nan] * 3)
  fewest = min(len(x) for x in (samples, train, test))
  cells = KMeans(max(1, min(num_cells, fewest // (2 * LEAST))), n_init=1,
                 random_state=seed).fit(np.asarray(train, np.float64))
  near, near_cell, fresh, fresh_cell = (
      f(x) for x in (samples, test) for f in (
          lambda x: nearest_distances(x, train),
          lambda x: cells.predict(np.asarray(x, np.float64))))
  scores, weights = [], []
  for cell in range(cells.n_clusters):
    ours, theirs = near[near_cell == cell], fresh[fresh_cell == cell]
    n, m = len(ours), len(theirs)
    if min(n, m) >= LEAST:
      pairs = stats.mannwhitneyu(ours, theirs).statistic
      scores.append((pairs - n * m / 2) / math.sqrt(n * m * (n + m + 1) / 12))
      weights.append(m)
  if not weights:
    return Estimate(*[math.nan] * 3)
  value = float(np.average(scores, weights=weights))
  # Given how many are in each cell, Z of fresh data are independent.
  reach = _Z * float(np.linalg.norm(weights) / np.sum(weights))
  return Estimate(value, value - reach, value + reach)


def authenticity(samples: np.ndarray, train: np.ndarray) -> Estimate:
  """Share of samples that are no noisy copy of a training point.

  Alaa et al., arXiv:2102.08921, section 3.3: a sample is authentic if it is
  farther from its nearest training point than this one is from its own nearest
  neighbour in the training set. What fresh data have depends on their number
  and dimension (.39 for 300 points of a 2-D normal): see it beside that of
  held-out data. NaN where a row is not finite.

  Args:
    samples: [N, ...].
    train: [T, ...].

  Returns:
    The share, with Wilson's interval.

  Raises:
    ValueError: rows of unequal size, no sample or fewer than 2 training points.
  """
  samples, train = as_rows(samples), as_rows(train)
  _check_sets('authenticity', samples, train)
  check(len(train) > 1, 'authenticity', 'train must hold 2 points or more',
        len(train))
  if not all(np.isfinite(x).all() for x in (samples, train)):
    return Estimate(*[math.nan] * 3)
  own = np.full(len(train), np.inf)
  for rows, squared, error, sharpen in blocks(train, train):
    itself = np.arange(rows.start, rows.stop)[:, None] == np.arange(len(train))
    squared[itself] = np.inf
    sharpen(~itself & (
        squared - error <= (squared + error).min(1, keepdims=True)))
    own[rows] = squared.min(1)
  authentic = []
  for _, squared, error, sharpen in blocks(samples, train):
    sharpen(squared - error <= (squared + error).min(1, keepdims=True))
    place = squared.argmin(1)
    authentic.append(squared[np.arange(len(place)), place] > own[place])
  return share(np.concatenate(authentic))


def _check_sets(where: str, *sets: np.ndarray) -> None:
  """Raises ValueError unless each [N, D] has a row and D is the same."""
  check(min(len(x) for x in sets) > 0 and len({x.shape[1] for x in sets}) == 1,
        where, 'sets must hold rows of one size',
        ' and '.join(str(x.shape) for x in sets))
