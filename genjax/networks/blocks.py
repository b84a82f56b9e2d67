"""Equal blocks one after the other, their params stacked on a leading axis."""

from typing import Any

import flax.linen as nn

from genjax import machine


def stack(block: Any, depth: int, *, remat: bool = False) -> Any:
  """A module of `depth` blocks, each fed what the one before it returns.

  Accelerators run one program of the block again and again, `lax.scan`, so
  that the time to compile does not grow with `depth`. On a CPU the blocks stand
  in the program one by one: the scan would copy what the backward pass needs
  of every block into one array and out of it, which took half as long again.
  Params [depth, ...], keys of dropout, and so the numbers are those of the
  scan: a run trained on one opens on the other.

  Args:
    block: a module class, (carry, shared) -> (carry, None).
    depth: how many.
    remat: whether the backward pass computes each block again, rather than
      keep what it needs of it. The blocks are scanned then: of a program in
      which they stand one by one XLA:CPU would share what they compute with
      the forward pass, and save no memory.

  Returns:
    A module class, with the arguments of `block`.
  """
  if remat:
    block = nn.remat(block, prevent_cse=False)
  return nn.scan(
      block, length=depth, in_axes=nn.broadcast, variable_axes={'params': 0},
      split_rngs={'params': True, 'dropout': True},
      unroll=depth if is_unrolled() and not remat else 1)


def is_unrolled() -> bool:
  """Whether blocks stand in the program one by one: on a CPU."""
  return machine.platform() == 'cpu'
