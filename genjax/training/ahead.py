"""Batches that are on the devices before the step that needs them begins."""

import collections
from typing import Callable

from genjax.types import Batch


class Ahead:
  """Reads one batch ahead of the one that is asked for.

  A step is handed to the devices when the next batch is on its way to them, so
  that the transfer goes on while they compute: on a GPU one that begins later
  waits for the end of that step. What a batch raises is raised when it is
  asked for, and nothing is read after it.

  Args:
    read: gives the next batch, placed.
    most: how many are asked for; none is read beyond.
  """

  def __init__(self, read: Callable[[], Batch], most: int):
    self._read = read
    self._left = most
    # (batch or what it raised), at most two.
    self._held: collections.deque[Batch | Exception] = collections.deque()

  def next(self) -> Batch:
    """The next batch."""
    while self._left and len(self._held) < 2 and not (
        self._held and isinstance(self._held[-1], Exception)):
      self._left -= 1
      try:
        self._held.append(self._read())
      except Exception as error:  # of a file, say, that broke in the meantime
        self._held.append(error)
    found = self._held.popleft()
    if isinstance(found, Exception):
      raise found
    return found
