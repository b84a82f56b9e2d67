"""Points in the plane by name and options, for `train_classifier`.

  toy:spirals,turns=2,noise=0.05,points=1000
  toy:line,slope=2
"""

from typing import Callable, Mapping

import jax
import jax.numpy as jnp
import numpy as np

from experiments import common
from genjax.data import sources
from genjax.data import toy
from genjax.types import Array
from genjax.types import Key

_POINTS = 1000

HELP = f'Points of a toy set: {_POINTS} where absent, and as many held out.'


def _line(key: Key, n: int, *, slope: float = 0.8, intercept: float = -0.3,
          noise: float = 0.4) -> dict[str, Array]:
  """Points [n, 2] about a line, over inputs uniform on [-2, 2]."""
  return _about(lambda x: slope * x + intercept, key, n, noise)


def _wave(key: Key, n: int, *, noise: float = 0.2) -> dict[str, Array]:
  """Points [n, 2] about sin 2x, over inputs uniform on [-2, 2]."""
  return _about(lambda x: jnp.sin(2 * x), key, n, noise)


def _about(curve, key, n, noise):
  key_x, key_noise = jax.random.split(key)
  x = jax.random.uniform(key_x, (n,), minval=-2, maxval=2)
  y = curve(x) + noise * jax.random.normal(key_noise, (n,))
  return {'x': jnp.stack([x, y], -1)}


# What a regression is fitted to.
CURVES: Mapping[str, Callable[..., dict[str, Array]]] = {
    'line': _line,
    'wave': _wave,
}


def open_points(spec: str, task: str, seed: int) -> common.Data:
  """The points that `--data=toy:<spec>` names, and as many held out.

  Raises:
    ValueError: an unknown set for the task, or an option it has not.
  """
  sets = CURVES if task == 'regression' else toy.SETS
  name, points, options = common.parse_toy(spec, sets, _POINTS)
  draw = jax.jit(sets[name], static_argnames='n')

  def source(seed):
    drawn = draw(jax.random.key(seed), n=points, **options)
    names = tuple(map(str, range(toy.NUM_CLASSES.get(name, 0))))
    return sources.ArraySource(
        {column: np.asarray(a) for column, a in drawn.items()},
        names if 'label' in drawn else ())

  return common.Data(source(2 * seed), source(2 * seed + 1))
