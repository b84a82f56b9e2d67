"""How a diffusion model fares while it trains, on data seen and held out."""

import os
from typing import Any, Sequence
import zipfile

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
from genjax.files import write_whole
from genjax.metrics.estimate import Estimate
from genjax.metrics.progress import lag
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
from genjax.types import Source

_MOST = 1000  # training examples that are looked at again
_TOLD = 0.01  # share of a loss by which an average may lag without a word


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

  By noise level too, and that of the last weights. Lines in the log say whether
  training still helps, and whether the average lags behind, see
  `metrics.progress`. The losses of each example at every checkpoint are kept in
  <workdir>/losses.npz.
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

  # One key for every step: the curve then shows the model, not the noise.
  key = keys.key(settings.seed, 'test')

  def look(params: Params, source: Source) -> Losses:
    return evaluate(losses, params, key, source,
                    min(len(test), 4 * settings.batch_size))

  def hook(state, step):
    averaged, raw = look(state.averages['ema'], test), look(state.params, test)
    trained = look(state.averages['ema'], seen)
    rows = _keep(os.path.join(session.workdir, 'losses.npz'), step,
                 *map(np.asarray, (trained.loss, averaged.loss)))
    if len(seen) > 1:  # a single example tells nothing
      last = np.asarray(raw.loss)
      behind = lag(np.asarray(averaged.loss), last)
      _say(step, rows, behind, behind.low > _TOLD * last.mean())
    return {'train/loss': summary(trained)['loss'],
            'test/loss_raw': summary(raw)['loss'], **{
                f'test/{name}': value
                for name, value in summary(averaged).items()}}

  return [Hook(settings.save_every, hook)]


def _say(
    step: int, rows: dict[str, Any], behind: Estimate, lags: bool
) -> None:
  """Tells in the log what the losses say."""
  if len(rows['step']) > 1:  # a first checkpoint tells nothing yet
    logging.info('step %d: %s', step, sentence(progress(
        rows['step'].tolist(), rows['train'], rows['test'])))
  if lags:
    logging.info(
        'step %d: the average lags behind: its test loss is %.2g (%.2g to '
        '%.2g) above that of the last weights', step, *behind)


def _keep(
    path: str, step: int, train: np.ndarray, test: np.ndarray
) -> dict[str, Any]:
  """The losses kept in `path` up to this step, and these, which join them."""
  rows: dict[str, Any] = {
      'step': np.array([step]), 'train': train[None], 'test': test[None]}
  if os.path.exists(path):
    try:
      with open(path, 'rb') as file, np.load(file) as kept:
        before = kept['step'] < step  # where a run goes on from there
        rows = {name: np.concatenate([kept[name][before], row])
                for name, row in rows.items()}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
      logging.warning('%s is damaged: it begins anew', path)
  write_whole(path, lambda partial: np.savez(partial, **rows))
  return rows
