"""Whether a classifier is right as often as it says."""

from typing import NamedTuple

import numpy as np

from genjax.checks import check


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
  upwards by few examples a bin.

  Args:
    probabilities: [N, K], of each class.
    labels: int [N].
    num_bins: B, of confidences in (0, 1].

  Raises:
    ValueError: shapes that do not fit, or no example.
  """
  check(probabilities.ndim == 2 and labels.shape == probabilities.shape[:1]
        and len(labels) > 0, 'calibration',
        'probabilities and labels must be [N, K] and [N], N > 0',
        f'{probabilities.shape} and {labels.shape}')
  confidence = probabilities.max(1)
  right = probabilities.argmax(1) == labels
  bins = np.clip(np.ceil(confidence * num_bins).astype(int) - 1, 0,
                 num_bins - 1)
  count = np.bincount(bins, minlength=num_bins)
  with np.errstate(invalid='ignore'):
    said, was = (np.bincount(bins, weights, num_bins) / count
                 for weights in (confidence, right))
  error = np.nansum(count * np.abs(said - was)) / len(labels)
  return Calibration(said, was, count, float(error))
