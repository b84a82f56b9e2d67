"""Images in memory, for the scripts that compare them."""

from typing import NamedTuple

from absl import flags
import numpy as np

from experiments import common
from genjax.checks import check
from genjax.data import named
from genjax.data import pipeline
from genjax.data import sources
from genjax.types import Source


class Images(NamedTuple):
  """Images of one set in memory, and their classes where these are known."""

  x: np.ndarray  # float32 [N, H, W, C] in [-1, 1]
  label: np.ndarray  # int [N], or [0] without classes


class Split(NamedTuple):
  """Two sets of images of one law, the second unseen in training."""

  train: Source
  test: Source

  @property
  def description(self) -> sources.Description:
    return sources.describe(self.train)


def define_flags() -> None:
  """Flags of every script that compares images."""
  common.define_data_flags('digits')
  flags.DEFINE_integer('most', 5000, 'images of a set that are compared, '
                       'chosen at random where there are more', lower_bound=1)
  flags.DEFINE_string('classifier', None, 'workdir of train_classifier, whose '
                      'features are used; one is trained where absent')


def open_split() -> Split:
  """The images that the flags name, with a test set.

  Raises:
    ValueError: unreadable data, points, or no test set.
  """
  values = flags.FLAGS
  data = named.open_data(values.data, image_size=values.image_size,
                         held_out=values.held_out, seed=values.seed)
  shape = data.description.shape
  check(len(shape) == 3, 'data', 'must be images',
        f'{values.data!r} of shape {shape}')
  if data.test is None:
    raise ValueError(f'held_out: must be above 0 for {values.data!r}, whose '
                     'test set it makes, got 0')
  return Split(data.train, data.test)


def read(source: Source, most: int, seed: int) -> Images:
  """The images of `source`, or `most` of them chosen by `seed`."""
  if len(source) > most:
    rows = np.random.default_rng(seed).permutation(len(source))[:most]
    source = sources.subset(source, np.sort(rows))
  batch = pipeline.full_batch(source)
  return Images(batch['x'], batch['cond'].get('label', np.zeros(0, np.int32)))
