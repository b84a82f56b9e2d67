"""How a diffusion model fares while it trains, on data seen and held out."""

import os
from typing import Any, Sequence

from absl import logging
import jax
import numpy as np

from genjax.data import sources
from genjax.data.levels import dequantise
from genjax.data.levels import on_levels
from genjax.diffusion import conditions
from genjax.diffusion.loss import evaluate
from genjax.diffusion.loss import Losses
from genjax.diffusion.loss import make_losses
from genjax.diffusion.loss import summary
from genjax.metrics.progress import progress
from genjax.metrics.progress import sentence
from genjax.runs import keys
from genjax.runs.diffusion_settings import is_told
from genjax.runs.diffusion_settings import Settings
from genjax.runs.task import Session
from genjax.training.loop import Hook
from genjax.types import Batch
from genjax.types import Key
from genjax.types import Params

_MOST = 1000  # training examples that are looked at again


def with_noise(
    settings: Settings, key: Key, batch: Batch
) -> tuple[Key, Batch]:
  """The key and batch of a loss; pixels that are dequantised have noise."""
  if not settings.dequantise:
    return key, batch
  levels: Any = settings.levels  # known, see `diffusion.build`
  key_noise, key_loss = jax.random.split(key)
  x = dequantise(key_noise, on_levels(batch['x'], levels), batch['index'],
                 levels)
  return key_loss, {**batch, 'x': x}


def hooks(session: Session) -> Sequence[Hook]:
  """The loss of the averaged weights on test and on some training data.

  By noise level too; and a line in the log says whether training still helps,
  see `metrics.progress`. The losses of each example at every checkpoint are
  kept in <workdir>/losses.npz.
  """
  settings, test = session.settings, getattr(session.data, 'test', None)
  if test is None:
    return []
  of_levels = make_losses(
      session.model.parts.diffusion, weighting=session.model.parts.weighting,
      null=conditions.null if is_told(settings) else None)

  @jax.jit
  def losses(params: Params, key: Key, batch: Batch) -> Losses:
    return of_levels(params, *with_noise(settings, key, batch))

  train = session.data.train
  places = np.linspace(0, len(train) - 1, min(_MOST, len(train), len(test)))
  seen = sources.subset(train, places.astype(int))

  def hook(state, step):
    # One key for every step: the curve then shows the model, not the noise.
    test_losses, train_losses = (evaluate(
        losses, state.averages['ema'], keys.key(settings.seed, 'test'), source,
        min(len(test), 4 * settings.batch_size)) for source in (test, seen))
    rows = _keep(os.path.join(session.workdir, 'losses.npz'), step,
                 *map(np.asarray, (train_losses.loss, test_losses.loss)))
    # A first checkpoint, or a single example, tells nothing yet.
    if len(rows['step']) > 1 and min(len(test), len(seen)) > 1:
      logging.info('step %d: %s', step, sentence(progress(
          rows['step'].tolist(), rows['train'], rows['test'])))
    return {'train/loss': float(np.mean(train_losses.loss)), **{
        f'test/{name}': value for name, value in summary(test_losses).items()}}

  return [Hook(settings.save_every, hook)]


def _keep(
    path: str, step: int, train: np.ndarray, test: np.ndarray
) -> dict[str, Any]:
  """The losses kept in `path` up to this step, and these, which join them."""
  rows: dict[str, Any] = {
      'step': np.array([step]), 'train': train[None], 'test': test[None]}
  if os.path.exists(path):
    with np.load(path) as kept:
      before = kept['step'] < step  # of a run that goes on from an earlier one
      rows = {name: np.concatenate([kept[name][before], row])
              for name, row in rows.items()}
  with open(path + '.tmp', 'wb') as file:
    np.savez(file, **rows)
  os.replace(path + '.tmp', path)
  return rows
