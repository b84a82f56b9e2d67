"""Images in memory, for the reports that compare them."""

from typing import Any, NamedTuple

import numpy as np

from genjax.checks import check
from genjax.data import named
from genjax.data import pipeline
from genjax.data import sources
from genjax.runs import keys
from genjax.runs.data import open_data
from genjax.runs.settings import setting
from genjax.types import Source


class Images(NamedTuple):
  """Images of one set in memory, and their classes where these are known.

  What is said of images here may be said of signals [N, L, C] as well.
  """

  x: np.ndarray  # float32 [N, H, W, C] in [-1, 1]
  label: np.ndarray  # int [N], or [0] without classes


def most() -> Any:
  """How many images of a set are compared."""
  return setting(5000, low=1, high=10**7, help='Largest number of images of '
                 'a set to compare, chosen at random where there are more.')


def classifier() -> Any:
  """Workdir of the classifier whose features are used."""
  return setting(None, lengths=(1, 4096), help='Folder of a run of '
                 'train_classifier, in whose features images are compared; '
                 'absent, one is trained.')


def data_of(settings: Any) -> dict[str, Any]:
  """What settings say of the data, and the seed, by name."""
  return {name: getattr(settings, name)
          for name in ('data', 'image_size', 'channels', 'bits', 'held_out',
                       'labels', 'cache', 'seed') if hasattr(settings, name)}


def open_split(settings: Any) -> named.Data:
  """The images that settings name, with a test set.

  Raises:
    ValueError: unreadable data, points, or no test set.
  """
  data = open_data(settings)
  shape = data.description.shape
  check(len(shape) > 1, 'data', 'must be images',
        f'{settings.data!r} of shape {shape}')
  check(data.test is not None, 'held_out', f'must be above 0 for '
        f'{settings.data!r}, whose test set it makes', settings.held_out)
  return data


def open_images(
    settings: Any, most: int
) -> tuple[named.Data, Images, Images]:
  """Data with classes, and at most `most` of its training and test images.

  Raises:
    ValueError: see `open_split`, or there are no classes.
  """
  data = open_split(settings)
  check(bool(data.description.class_names), 'data',
        'must have classes (sub-folders of a folder)', repr(settings.data))
  train, test = (read(source, most, settings.seed)
                 for source in data if source is not None)
  return data, train, test


def read(source: Source, most: int, seed: int) -> Images:
  """The images of `source`, or `most` of them chosen by `seed`."""
  if len(source) > most:
    rows = keys.generator(seed, 'subset').permutation(len(source))[:most]
    source = sources.subset(source, np.sort(rows))
  batch = pipeline.full_batch(source)
  return Images(batch['x'], batch['cond'].get('label', np.zeros(0, np.int32)))
