"""Figures of a diffusion run while it trains: grids of samples, its curves."""

import os
from typing import Sequence

import numpy as np

from genjax import viz
from genjax.diffusion import drawing
from genjax.reports.draws import classes_of
from genjax.reports.draws import in_turn
from genjax.reports.draws import told
from genjax.reports.pictures import pictures
from genjax.reports.scoring import hooks as scoring
from genjax.runs import keys
from genjax.runs.task import Session
from genjax.training.logs import read_metrics
from genjax.training.loop import Hook


def hooks(session: Session) -> Sequence[Hook]:
  """Samples of the averaged weights at every checkpoint, and their scores.

  Drawn by one key: ten of each class, where there are classes; of points 2,000.
  """
  settings, draw = session.settings, session.model.parts.draw
  classes = classes_of(settings)
  flat = len(settings.shape) == 1
  num = 2000 if flat else 100
  cond = told(in_turn(classes, num))
  key = keys.key(settings.seed, 'grid')

  def grid(state, step):
    x = np.asarray(drawing.sample(
        draw, state.averages['ema'], key, (num,), cond, len(classes) or None))
    path = os.path.join(session.workdir, 'figures', f'samples_{step:07d}.png')
    if flat:
      limit = 2.5 if settings.shape == (2,) else float(np.abs(x).max())
      viz.save_points(path, x[:, :2], limit)
    else:
      images = pictures(x, settings.shape)
      viz.save_grid(path, images, 10)
      session.writer.image(step, 'samples', viz.tile(images, 10))

  return [Hook(settings.save_every, grid), *scoring(session)]


def save_training(workdir: str) -> str:
  """Writes figures/training.png, the curves of the logs; returns its path."""
  path = os.path.join(workdir, 'figures', 'training.png')
  records = read_metrics(os.path.join(workdir, 'metrics.jsonl'))
  if any('loss' in r for r in records):
    viz.save_training_curves(path, records)
  return path
