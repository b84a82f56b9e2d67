"""Whether training still helps, by losses on examples seen and held out."""

from typing import NamedTuple, Sequence

import numpy as np
import scipy.special

from genjax.checks import check
from genjax.metrics.estimate import Estimate
from genjax.metrics.estimate import of_mean

_SURE = 2.0  # half-widths of an interval by which training and test loss part
_FEWEST = 3  # checkpoints after which a loss may be called flat


class Progress(NamedTuple):
  """What a row of checkpoints says of a run."""

  improving: bool  # whether the last checkpoints are better than those before
  flat_since: int | None  # the first step as good as the last
  memorising_since: int | None  # from when on training examples fare better
  best: int  # the step of the least held-out loss


def progress(
    steps: Sequence[int], train: np.ndarray, test: np.ndarray
) -> Progress:
  """Judges a run by the losses of the same examples at every checkpoint.

  Differences between checkpoints are taken example by example, which leaves out
  how hard an example is and, where the noise is the same too, what noise it
  got. An interval is that of Student's t at 95 %. Held-out loss is flat since
  the first checkpoint that is no worse than the last by more than the interval
  of the difference, if three or more have come since. The model memorises
  since training and held-out loss part by two of the intervals of their
  difference, or since the best checkpoint where the last is worse by two.

  Args:
    steps: S of them, in order.
    train: [S, M], losses of examples that are trained on, of the law of test.
    test: [S, N], losses of held-out examples.

  Raises:
    ValueError: no step, rows that are not S, or fewer than 2 examples.
  """
  check(len(steps) > 0 and len(train) == len(test) == len(steps), 'progress',
        'train and test must have a row for each of one or more steps',
        f'{len(train)}, {len(test)} and {len(steps)}')
  check(min(train.shape[1], test.shape[1]) >= 2, 'progress',
        'train and test must hold 2 examples or more',
        f'{train.shape[1]} and {test.shape[1]}')
  train, test = (np.asarray(x, np.float64) for x in (train, test))
  last, best = len(steps) - 1, int(np.argmin(test.mean(1)))
  lost = [_mean(test[i] - test[last]) for i in range(last + 1)]
  # Worse than the last, by more than chance: then training has helped since.
  behind = [i for i, (value, reach) in enumerate(lost) if value > reach]
  first = behind[-1] + 1 if behind else 0
  flat = last - first >= _FEWEST
  apart = [_apart(a, b) for a, b in zip(train, test)]
  since = None
  value, reach = _mean(test[last] - test[best])
  if value > _SURE * reach:
    since = best
  elif apart[last]:
    since = max((i + 1 for i in range(last) if not apart[i]), default=0)
  return Progress(
      improving=not flat and since != best,
      flat_since=int(steps[first]) if flat else None,
      memorising_since=None if since is None else int(steps[since]),
      best=int(steps[best]))


def sentence(found: Progress) -> str:
  """What `found` says, in a line for people."""
  if found.memorising_since is not None:
    now = 'still improving, but ' if found.improving else ''
    return (f'{now}memorising since step {found.memorising_since}: training '
            'examples fare better than held-out ones; keep step '
            f'{found.best}')
  if found.flat_since is not None:
    return (f'flat since step {found.flat_since}: the held-out loss no longer '
            f'falls; keep step {found.best}')
  return 'still improving'


def lag(averaged: np.ndarray, raw: np.ndarray) -> Estimate:
  """By how much an average of the weights is worse than the weights themselves.

  The mean difference of the losses [N] that both have on the same examples,
  with its interval: above 0, the average lags behind.
  """
  return of_mean(np.asarray(averaged, np.float64) - raw)


def _mean(x: np.ndarray) -> tuple[float, float]:
  """Mean of values [N], and half the width of its interval."""
  t = scipy.special.stdtrit(len(x) - 1, 0.975)
  return float(x.mean()), float(t * x.std(ddof=1) / np.sqrt(len(x)))


def _apart(train: np.ndarray, test: np.ndarray) -> bool:
  """Whether test losses are surely above training losses."""
  (low, one), (high, other) = _mean(train), _mean(test)
  return high - low > _SURE * np.hypot(one, other)
