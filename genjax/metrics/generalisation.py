"""Whether two models of one law draw the same pictures, or their own data.

Kadkhodaie, Guth, Simoncelli and Mallat, arXiv:2310.02557, section 2: of models
trained on disjoint sets, the samples drawn from the same noise are compared
with each other, and with the training images that each is most like.
"""

from typing import NamedTuple, Sequence

import numpy as np

from genjax.checks import check
from genjax.metrics.distances import as_rows
from genjax.metrics.estimate import Estimate
from genjax.metrics.estimate import of_mean

_CHUNK = 2**24  # numbers of a training set that are held in float64 at a time


class Generalisation(NamedTuple):
  """Mean similarities in [-1, 1], each with its 95 % interval.

  `same_noise` is 1 of two models that are one function of the noise, and as
  `copies` of two that copy: the noise says which training image is near, and
  the more there are, the more alike are those that are near in both sets.
  `nearest` is 1 of models that copy, and as `fresh` of models that draw what is
  as far from their data as further data are.
  """

  same_noise: Estimate  # of the two models' samples from the same noise
  copies: Estimate  # the same of models that copy and do nothing else
  other_noise: Estimate  # of the two models' samples from different noise
  nearest: Estimate  # of samples and their most similar training image
  fresh: Estimate  # of images of a set and their most similar of the other


def similarity(a: np.ndarray, b: np.ndarray, mean: np.ndarray) -> np.ndarray:
  """Cosines of the angles between a - mean and b - mean, pair by pair.

  What all pictures have in common would make any two of them alike. NaN where
  a picture is the mean, or not finite.

  Args:
    a: [N, ...].
    b: [N, ...].
    mean: [...], of the data.

  Returns:
    [N], in [-1, 1] but for a rounding.

  Raises:
    ValueError: shapes that differ.
  """
  _check_shapes('similarity', mean, a, b)
  check(len(a) == len(b), 'similarity', 'a and b must be of one length',
        f'{len(a)} and {len(b)}')
  return np.sum(_directions(a, mean) * _directions(b, mean), 1)


def most_similar(
    x: np.ndarray, train: np.ndarray, mean: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """The largest `similarity` of each picture to one of a set, and to which.

  Args:
    x: [N, ...].
    train: [M, ...], M >= 1.
    mean: [...], of the data.

  Returns:
    The similarity [N], and the place in `train` [N], the first of equals.

  Raises:
    ValueError: shapes that differ, or an empty set.
  """
  _check_shapes('most_similar', mean, x, train)
  check(len(train) > 0, 'most_similar', 'train must hold a picture', 'none')
  best, place = np.full(len(x), -np.inf), np.zeros(len(x), int)
  directions, rows = _directions(x, mean), np.arange(len(x))
  step = max(1, _CHUNK // max(1, directions.shape[1]))
  for start in range(0, len(train), step):
    cosines = directions @ _directions(train[start:start + step], mean).T
    here = cosines.argmax(1)  # of a NaN, where there is one
    # Written so that a NaN stays.
    better = ~(cosines[rows, here] <= best) & ~np.isnan(best)
    best[better] = cosines[rows, here][better]
    place[better] = start + here[better]
  return best, place


def generalisation(
    samples: Sequence[np.ndarray], copies: Sequence[np.ndarray],
    train: Sequence[np.ndarray], mean: np.ndarray
) -> Generalisation:
  """Compares two models that were trained on disjoint sets.

  Sample i of both is drawn from the same noise, under the same condition;
  samples 2 j and 2 j + 1 are of different noise, and of the same condition too.
  Intervals are Student's, over noises or images, given the two models and sets;
  other sets of the same size, and other trainings, would differ too.

  Args:
    samples: of the two models, each [N, ...], N even and at least 4.
    copies: what the exact denoisers of the two sets draw from the same noise,
      each [N, ...].
    train: what each was trained on, [M, ...], M >= 2. Of the second set as
      many images as there are samples are compared with the first.
    mean: [...], of the data.

  Raises:
    ValueError: numbers or shapes that do not fit.
  """
  a, b = samples
  check(len(a) >= 4 and len(a) % 2 == 0, 'generalisation',
        'samples must be an even number, 4 or more', len(a))
  crossed = similarity(a, b.reshape(-1, 2, *b.shape[1:])[:, ::-1].reshape(
      b.shape), mean)
  return Generalisation(
      of_mean(similarity(a, b, mean)),
      of_mean(similarity(copies[0], copies[1], mean)),
      of_mean(crossed.reshape(-1, 2).mean(1)),
      of_mean(np.mean([most_similar(x, own, mean)[0]
                       for x, own in zip(samples, train)], axis=0)),
      of_mean(most_similar(train[1][:len(a)], train[0], mean)[0]))


def _directions(x: np.ndarray, mean: np.ndarray) -> np.ndarray:
  """x - mean at length 1, float64 [N, D]."""
  z = as_rows(np.asarray(x).astype(np.float64) - mean)
  with np.errstate(invalid='ignore'):
    return z / np.linalg.norm(z, axis=1, keepdims=True)


def _check_shapes(where: str, mean: np.ndarray, *sets: np.ndarray) -> None:
  for x in sets:
    check(x.shape[1:] == mean.shape, where, f'pictures must be of the shape '
          f'{mean.shape} of their mean', x.shape)
