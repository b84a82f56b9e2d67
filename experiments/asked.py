"""What samples are drawn under: flags, and what they say."""

from typing import Sequence

from absl import flags as absl_flags
import numpy as np

from experiments import flags
from genjax.checks import check
from genjax.data import sample_files


def define_flags() -> None:
  """Flags of what samples are drawn under."""
  absl_flags.DEFINE_list('labels', None, 'Classes to draw in turn, by number '
                         'or name, with commas between; all where absent.')
  absl_flags.DEFINE_list('vector', None, 'Numbers to draw under, with commas '
                         'between, one for each column of numbers in the table '
                         'that the run was told (--labels=csv:<path> in '
                         'training); their means where absent.')


def parse_labels(
    classes: Sequence[str], names: list[str] | None, num_samples: int
) -> np.ndarray | None:
  """Labels [N] in turn, of `names` or of all classes; None without classes.

  Raises:
    ValueError: an unknown class, or classes of an unconditional model.
  """
  check(names is None or bool(classes), 'labels',
        'must be absent for an unconditional model', names)
  if not classes:
    return None
  check(names is None or bool(names), 'labels', 'must name a class', names)
  if not names:
    return np.resize(np.arange(len(classes)), num_samples)
  chosen = sample_files.class_numbers(names, classes)
  for name, number in zip(names, chosen):
    check(number is not None and number < len(classes), 'labels', 'must be '
          f'names of classes or, where no name is the number of another class, '
          f'numbers below {len(classes)}', repr(name))
  return np.resize(np.asarray(chosen, np.int64), num_samples)


def parse_vector(
    names: Sequence[str], words: list[str] | None
) -> list[float] | None:
  """A number for each of the names that a run is told; None for their means.

  Raises:
    ValueError: anything else, or a run that is told none.
  """
  if words is None:
    return None
  check(bool(names), 'vector', 'must be absent for a model that is told no '
        'numbers', ','.join(words))
  return flags.numbers('vector', words, len(names))
