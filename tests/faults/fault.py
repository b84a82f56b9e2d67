"""What a fault is, and where its tests are."""

from typing import NamedTuple


class Fault(NamedTuple):
  """One replacement in one file."""

  name: str
  path: str  # relative to the root
  old: str  # in the file exactly once
  new: str
  tests: tuple[str, ...]  # what pytest is given


def room(*names: str) -> tuple[str, ...]:
  """'data/toy' is tests/data/test_toy.py."""
  return tuple('tests/{}/test_{}.py'.format(*n.split('/')) for n in names)


KEYS = ('tests/test_keys.py',)
