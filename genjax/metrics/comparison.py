"""Sets of images compared: distances, neighbours, copies, recognition.

Every metric is a point with its interval, or the reason why it has no number.
"""

import functools
from typing import Callable, NamedTuple

import numpy as np

from genjax.metrics import copying
from genjax.metrics import kernel
from genjax.metrics import manifold
from genjax.metrics.estimate import by_halves
from genjax.metrics.estimate import Estimate
from genjax.metrics.estimate import share
from genjax.metrics.estimate import share_by_halves
from genjax.metrics.estimate import share_in_mix
from genjax.metrics.frechet import frechet_distance_infinity

# Why there is no number.
Reason = str
Score = Estimate | Reason

NO_CLASSIFIER = 'needs a classifier, and so data with classes'
NO_LABELS = 'needs samples with labels'

_NEIGHBOURS = 5


class Judged(NamedTuple):
  """What the metrics look at of N images."""

  pixels: np.ndarray  # [N, D]
  label: np.ndarray  # int [N], or [0] without classes
  features: np.ndarray | None  # [N, F], of a classifier
  said: np.ndarray | None  # int [N], the class it says


def measure(
    statistic: Callable[..., float], least: int, *sets: np.ndarray
) -> Score:
  """A statistic of sets of `least` rows or more with its interval."""
  return _too_few(least, *sets) or by_halves(
      lambda *rows: statistic(*(x[i] for x, i in zip(sets, rows))),
      *(len(x) for x in sets))


def _too_few(least: int, *sets: np.ndarray) -> Reason:
  """Why a metric of `least` rows a set gives no number; '' where it does."""
  few = min(len(x) for x in sets)
  return '' if few >= least else f'needs {least} images a set, got {few}'


def fewest(size: int) -> int:
  """Fewest images of a set that have a Frechet distance in `size` features."""
  # A row for each of its groups; of fewer the line to infinity bends.
  return max(20, 2 * (size + 1))


def frechet(a: np.ndarray, b: np.ndarray) -> Score:
  """Squared Frechet distance at infinite sample size."""
  return (_too_few(fewest(a.shape[1]), a, b)
          or frechet_distance_infinity(a, b))


def neighbours(a: np.ndarray, b: np.ndarray, num: int) -> dict[str, Score]:
  """Precision, recall, density and coverage of `num` rows a set.

  All four depend on the sizes of the sets, so that their floor must have them.
  """
  sets = [x[np.sort(np.random.default_rng(0).permutation(len(x))[:num])]
          for x in (a, b)]
  reason = _too_few(2 * (_NEIGHBOURS + 1), *sets)  # enough for a half, too
  # One pass gives all four, and each asks for the same halves.
  seen: dict[bytes, manifold.Neighbours] = {}

  def one(name, *rows):
    key = b''.join(r.tobytes() for r in rows)
    if key not in seen:
      seen[key] = manifold.precision_recall(
          *(x[r] for x, r in zip(sets, rows)), k=_NEIGHBOURS)
    return getattr(seen[key], name)

  intervals = {'density': by_halves}  # which can pass 1, as no share can
  return {name: reason or intervals.get(name, share_by_halves)(
      functools.partial(one, name), num, num)
          for name in manifold.Neighbours._fields}


def distances(a: Judged, b: Judged, num: int, name: str) -> dict[str, Score]:
  """Distances between two sets, and shares by `num` images of each."""
  in_pixels = {'fd_pixels': frechet(a.pixels, b.pixels)}
  if a.features is None or b.features is None:
    return {**dict.fromkeys((f'fd_{name}', f'kid_{name}'), NO_CLASSIFIER),
            **in_pixels,
            **dict.fromkeys(manifold.Neighbours._fields, NO_CLASSIFIER)}
  return {f'fd_{name}': frechet(a.features, b.features),
          f'kid_{name}': measure(kernel.kernel_distance, 4, a.features,
                                 b.features),
          **in_pixels, **neighbours(a.features, b.features, num)}


def copies(samples: Judged, train: Judged, test: Judged) -> dict[str, Score]:
  """Three measures of how near samples are to the training images.

  The mean distance to the nearest, over that of test images; C_T, and the share
  of samples that are authentic, see `copying`.
  """
  sets = [x.pixels for x in (samples, train, test)]
  return {
      'nn_ratio_pixels': measure(
          lambda a, b: float(a.mean() / b.mean()), 4,
          *(manifold.nearest_distances(x, train.pixels)
            for x in (samples.pixels, test.pixels))),
      'c_t_pixels': (_too_few(copying.LEAST, *sets)
                     or copying.data_copying(*sets)),
      'authentic_pixels': authentic(samples, train)}


def authentic(samples: Judged, train: Judged) -> Score:
  """Share of samples that are no noisy copy of a training image."""
  sets = samples.pixels, train.pixels
  return _too_few(2, *sets) or copying.authenticity(*sets)


def recognition(images: Judged, like: np.ndarray | None = None) -> Score:
  """Share of images that the classifier gives their class.

  Args:
    images: what is looked at of N images.
    like: int [M], labels in whose shares of classes images count, if there are
      any, see `share_in_mix`.
  """
  if images.said is None:
    return NO_CLASSIFIER
  if not len(images.label):
    return NO_LABELS
  right = images.said == images.label
  if like is None or not len(like):
    return share(right)
  most = 1 + max(images.label.max(), like.max())
  return share_in_mix(*(np.bincount(x, minlength=most) for x in (
      images.label[right], images.label, like)))


def compare(
    samples: Judged, train: Judged, test: Judged, name: str
) -> dict[str, tuple[Score, Score]]:
  """Every metric of the samples, and its floor: of real training images.

  Args:
    samples, train, test: what is looked at.
    name: of the data, for the names of the metrics in features.
  """
  num = min(len(x.pixels) for x in (samples, train, test))
  found, floor = (distances(x, test, num, name) for x in (samples, train))
  # Of test the first is 1 and the second 0 by definition: their intervals are
  # the noise of a fresh set.
  for scores, x in ((found, samples), (floor, test)):
    scores |= copies(x, train, test)
  found['recognised'] = recognition(samples)
  floor['recognised'] = recognition(test, samples.label)
  return {name: (found[name], floor[name]) for name in found}
