"""Which parameters are split over devices that work on one example together.

Tensor parallelism as in Megatron-LM, arXiv:1909.08053 section 3: of two
matrices with a nonlinearity between them the first is split by columns, the
second by rows, so that devices meet once, in the sum behind the second. In
attention the projections to queries, keys and values are the first, and heads
are split.
"""

import re

from genjax.types import Shape

# Of dense layers by name, as they stand in the path of a parameter.
_COLUMNS = ('to_q', 'to_k', 'to_v', 'dense_1')
_ROWS = ('to_out', 'dense_2')


def partition(path: str, shape: Shape) -> tuple[bool, ...]:
  """Which axes of an array of the training state are split.

  Args:
    path: of a parameter, or of what an optimizer or an average keeps of it,
      such as ".params['attention']['to_q']['kernel']".
    shape: of it; layers under a scan have an axis before those of the layer.

  Returns:
    For each axis whether it is split; () where none is.
  """
  found = re.search(r"\['(\w+)'\]\['(kernel|bias)'\]", path)
  if not found or len(shape) < (2 if found[2] == 'kernel' else 1):
    return ()
  columns, rows = found[1] in _COLUMNS, found[1] in _ROWS
  last = [columns] if found[2] == 'bias' else [rows, columns]
  return (False,) * (len(shape) - len(last)) + tuple(last)
