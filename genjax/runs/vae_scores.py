"""How well a run of a variational autoencoder does on data."""

import functools
import math
from typing import Callable, Sequence

import numpy as np

from genjax.data.levels import level_width
from genjax.metrics.bits import bits_per_dim
from genjax.runs import keys
from genjax.runs.task import Session
from genjax.runs.vae_settings import inputs
from genjax.runs.vae_settings import is_density
from genjax.runs.vae_settings import Settings
from genjax.training.loop import Hook
from genjax.types import Params
from genjax.types import Source
from genjax.vae import scores
from genjax.vae.model import VAE
from genjax.vae.scores import active_units
from genjax.vae.scores import Scores

IMPORTANCE = 1000  # codes of each example in the tighter bound


def make_scores(
    settings: Settings, vae: VAE
) -> Callable[[Params, Source], Scores]:
  """(params, source) -> `Scores` of all its examples, in a mixed order."""
  return scores.make_scores(vae, functools.partial(inputs, settings),
                            keys.key(settings.seed, 'test'))


def importance_weighted(
    settings: Settings, vae: VAE, params: Params, source: Source
) -> np.ndarray:
  """The bound of IMPORTANCE codes, nats [N]; see `scores`."""
  return scores.importance_weighted(
      vae, functools.partial(inputs, settings), keys.key(settings.seed, 'test'),
      params, source, shape=settings.shape, num_codes=IMPORTANCE)


def bits_name(settings: Settings) -> str:
  """What bits per dimension of the model are of: never two in one column."""
  return 'dequantised_bits_per_dim' if is_density(settings) else 'bits_per_dim'


def bits(
    settings: Settings, nats: np.ndarray, *, of_pixels: bool = True
) -> np.ndarray:
  """Bits per dimension [N] of log-probabilities of images, or of their codes.
  """
  width = level_width(settings.levels)
  return bits_per_dim(
      nats, math.prod(settings.shape),
      level_width=width if of_pixels and is_density(settings) else None)


def hooks(session: Session) -> Sequence[Hook]:
  """Terms of the bound and active units on the test data, where there are."""
  settings, source = session.settings, getattr(session.data, 'test', None)
  if source is None:
    return []
  scores_of = make_scores(settings, session.model.parts)

  def hook(state, step):
    del step
    found = scores_of(state.averages['ema'], source)
    nats = found.reconstruction + found.kl
    scalars = {
        'test/loss': nats.mean(),
        'test/reconstruction': found.reconstruction.mean(),
        'test/kl': found.kl.mean(),
        f'test/{bits_name(settings)}': bits(settings, -nats).mean(),
        'test/active_units': active_units(found.code)}
    return {name: float(value) for name, value in scalars.items()
            if value is not None}

  return [Hook(settings.save_every, hook)]
