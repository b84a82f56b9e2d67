"""Flags that hold several numbers, such as --width=16,32."""

from typing import Any, Sequence

import numpy as np

from genjax.checks import check

_MOST = 1_000_000  # more is a slip of the hand


def counts(
    name: str, words: Sequence[Any], example: str, *, none: bool = False
) -> list[int]:
  """The positive whole numbers of the flag `name`.

  Args:
    name: of the flag.
    words: what it holds.
    example: of what it may hold.
    none: whether it may be empty.

  Raises:
    ValueError: it holds anything else.
  """
  texts = [str(word) for word in words]
  check((none or bool(texts))
        and all(text.isdecimal() and 0 < int(text) <= _MOST for text in texts),
        name, f'must be whole numbers from 1 to {_MOST}, such as '
        f'{example}', repr(','.join(texts)))
  return [int(text) for text in texts]


def reals(
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
        and bool(np.all(np.isfinite(numbers))), name,
        ' '.join(must.split()), repr(','.join(words)))
  return numbers
