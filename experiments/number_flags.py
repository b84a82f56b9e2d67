"""Flags that hold several numbers."""

from typing import Sequence

import numpy as np

from genjax.checks import check


def parse_numbers(
    name: str, words: Sequence[str], num: int | None = None
) -> list[float]:
  """The finite numbers of the flag `name`, `num` of them if that is known.

  Raises:
    ValueError: it holds anything else.
  """
  must = f'must be {num or ""} numbers, like --{name}=0.5,0.5'
  try:
    numbers = [float(word) for word in words]
  except ValueError:
    numbers = []
  check(bool(numbers) and len(numbers) == (num or len(numbers))
        and bool(np.all(np.isfinite(numbers))), f'--{name}',
        ' '.join(must.split()), repr(','.join(words)))
  return numbers
