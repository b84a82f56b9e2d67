"""Every random stream of a run's seed, by name.

Each name has a stream of its own for every seed, so that neighbouring seeds
share none. The order of the data has streams of its own in `data.pipeline`,
which draw from the same seed by Philox.
"""

import jax
import numpy as np

from genjax.checks import check_choice
from genjax.types import Key

# Runs on disk depend on these numbers: new names take new ones.
STREAMS = {
    'init': 0,  # params before the first step
    'training': 1,  # root key of the steps
    'grid': 2,  # samples drawn while training
    'test': 3,  # losses on data not trained on
    'sample': 4,
    'figure': 5,
    'log_prob': 6,  # estimates of a density
    'subset': 7,  # which examples are compared or shown
    'scores': 8,  # samples that are scored while training
}


def key(seed: int, name: str, *parts: int) -> Key:
  """The key of everything that a run of `seed` draws under `name`.

  Args:
    seed: of the run.
    name: one of STREAMS.
    parts: folded in one after the other, where one name has many streams.

  Raises:
    ValueError: an unknown name.
  """
  check_choice('key', 'name', name, STREAMS)
  found = jax.random.fold_in(jax.random.key(seed), STREAMS[name])
  for part in parts:
    found = jax.random.fold_in(found, part)
  return found


def generator(seed: int, name: str, *parts: int) -> np.random.Generator:
  """The same for numpy: independent draws for every (seed, name, parts).

  Raises:
    ValueError: an unknown name.
  """
  check_choice('generator', 'name', name, STREAMS)
  return np.random.default_rng(
      np.random.SeedSequence(seed, spawn_key=(STREAMS[name], *parts)))
