"""Whether a classifier is right as often as it says."""

from typing import NamedTuple

import numpy as np

from genjax.checks import check
from genjax.checks import check_positive


class Calibration(NamedTuple):
  """A reliability diagram and the error that sums it up."""

  confidence: np.ndarray  # [B], mean of each bin; NaN where it is empty
  accuracy: np.ndarray  # [B], share of right answers; NaN where it is empty
  # [B]; hides tuple.count, which nobody needs of a diagram.
  count: np.ndarray  # type: ignore[assignment]
  error: float  # expected calibration error


def calibration(
    probabilities: np.ndarray, labels: np.ndarray, *, num_bins: int = 15
) -> Calibration:
  """Accuracy by confidence in bins of equal width, and their mean distance.

  Expected calibration error of Guo et al., arXiv:1706.04599, eq. 3: biased
  upwards by few examples a bin. An example that is said to be NaN is in no bin,
  and makes the error NaN.

  Args:
    probabilities: [N, K], of each class.
    labels: int [N].
    num_bins: B, of confidences in (0, 1].

  Raises:
    ValueError: shapes that do not fit, no example, or no bin.
  """
  # Bins are those of float64 whatever the probabilities are.
  probabilities = np.asarray(probabilities).astype(np.float64)
  labels = np.asarray(labels)
  check(probabilities.ndim == 2 and labels.shape == probabilities.shape[:1]
        and probabilities.size > 0, 'calibration',
        'probabilities and labels must be [N, K] and [N], N > 0',
        f'{probabilities.shape} and {labels.shape}')
  check_positive('calibration', 'num_bins', num_bins)
  number = ~np.isnan(probabilities).any(1)
  confidence = probabilities[number].max(1)
  right = probabilities[number].argmax(1) == labels[number]
  bins = np.clip(np.ceil(confidence * num_bins).astype(int) - 1, 0,
                 num_bins - 1)
  count = np.bincount(bins, minlength=num_bins)
  said, was = (np.bincount(bins, weights, num_bins)
               for weights in (confidence, right))
  error = np.sum(np.abs(said - was)) / len(labels) if number.all() else np.nan
  with np.errstate(invalid='ignore'):
    return Calibration(said / count, was / count, count, float(error))
