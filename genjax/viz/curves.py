"""Curves over the steps of a training run."""

import collections
from typing import Mapping, Sequence

import numpy as np

from genjax.checks import check
from genjax.viz import figures


def save_training_curves(
    path: str, records: Sequence[Mapping[str, float]]
) -> None:
  """Writes loss, loss by log-SNR and gradient norm over the training steps.

  Args:
    path: of the PNG.
    records: the lines of metrics.jsonl, each with `step`, and where it has
      them `loss`, `test/loss`, `loss_by_log_snr/<low>_to_<high>` and
      `grad_norm`.
  """
  check(len(records) > 0, 'save_training_curves', 'records must not be empty',
        '[]')
  counts = collections.Counter(
      name for r in records for name, value in r.items()
      if name.startswith('loss_by_log_snr/') and value is not None)
  # A noise level so rare that most intervals miss it is a few examples' noise.
  bins = sorted((name for name, count in counts.items()
                 if count > len(records) / 2),
                key=lambda name: float(name.split('/')[1].split('_to_')[0]))
  figure = figures.new(10.5, 3.2)
  left, middle, right = figure.subplots(1, 3)

  def plot(axis, name, **style):
    points = [(r['step'], r[name]) for r in records
              if r.get(name) is not None]
    if points:
      axis.plot(*np.transpose(points), **style)

  plot(left, 'loss', color=figures.BLUE, lw=1, label='training')
  plot(left, 'test/loss', color=figures.ORANGE, lw=1, marker='.',
       label='test, EMA weights')
  # From most noise to least.
  shades = figures.shades(len(bins))
  for name, shade in zip(bins, shades):
    low, high = name.split('/')[1].split('_to_')
    span = (f'below {high}' if low == '-inf' else
            f'above {low}' if high == 'inf' else f'{low} to {high}')
    plot(middle, name, color=shade, lw=1, label=span)
  plot(right, 'grad_norm', color=figures.GREY, lw=1)
  for axis, title in ((left, 'Weighted loss'), (middle, 'Loss by log-SNR'),
                      (right, 'Gradient norm before clipping')):
    axis.set(title=title, xlabel='step', ylim=(0, None))
    axis.title.set_size(10)
    axis.grid(True, which='major', alpha=0.25)
    if axis.get_legend_handles_labels()[0]:
      # Above the curves, whatever they do.
      entries = len(axis.get_legend_handles_labels()[0])
      top = axis.get_ylim()[1]
      axis.set_ylim(0, top * (1.2 if entries <= 2 else 1.45))
      axis.legend(fontsize=7, ncols=1 if entries <= 2 else 2,
                  loc='upper right')
  figures.save(path, figure)
