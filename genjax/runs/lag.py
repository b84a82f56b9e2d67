"""Whether an average of params lags behind the params themselves."""

from typing import Callable, Mapping

from absl import logging
import numpy as np

from genjax.training.state import State
from genjax.types import Params

# Means by name, and the loss of each example [N].
Look = Callable[[Params], tuple[Mapping[str, float], np.ndarray]]


def scores(look: Look, state: State, step: int) -> dict[str, float]:
  """Scalars test/... of the average 'ema', and test/loss_raw of the params.

  Where the average's loss is the larger by more than two standard errors of
  the difference, an example's from its own, a line says so.

  Args:
    look: scores params on test data, all with the same noise.
    state: of the run.
    step: of the run.
  """
  found, averaged = look(state.averages['ema'])
  raw, own = look(state.params)
  apart = averaged - own
  if len(apart) > 1:
    error = apart.std(ddof=1) / len(apart)**.5
    if apart.mean() > 2 * error:
      logging.info(
          'step %d: the average lags behind: its test loss is %.4g +- %.1g '
          'above the %.4g of the raw weights', step, apart.mean(), error,
          raw['loss'])
  return {**{f'test/{name}': value for name, value in found.items()},
          'test/loss_raw': raw['loss']}
