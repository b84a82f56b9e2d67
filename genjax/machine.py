"""The devices that programs are made for: those at hand, or of a TPU described.

Of a machine that is not there programs can be compiled, not run: what a step
would take of its memory is told by its own compiler.
"""

import contextlib
import os
from typing import Iterator

import jax
from jax.experimental import topologies

from genjax.checks import check

_described: list[jax.Device] = []


def devices() -> list[jax.Device]:
  """All devices, of all processes."""
  return list(_described) or jax.devices()


def platform() -> str:
  """What they are: 'cpu', 'gpu' or 'tpu'."""
  return _described[0].platform if _described else jax.default_backend()


def is_at_hand() -> bool:
  """Whether programs can be run, not only compiled."""
  return not _described


@contextlib.contextmanager
def described(name: str) -> Iterator[None]:
  """Within it, programs are made for the devices of a TPU slice.

  Args:
    name: generation and chips, such as 'v5e:4x4' for a v5e-16, or 'v4:2x2x1'.

  Raises:
    ValueError: libtpu, TPU's compiler, is not installed, or knows no such
      slice.
  """
  # Not to look for a TPU in the network.
  os.environ.setdefault('TPU_SKIP_MDS_QUERY', '1')
  try:
    found = topologies.get_topology_desc(name, 'tpu').devices
  except RuntimeError as error:
    check('not installed' not in str(error), 'topology', 'needs libtpu: '
          'python -m pip install libtpu', 'none')
    raise ValueError(
        f'topology: must be a TPU slice such as v5e:4x4, got {name!r} '
        f'({str(error).splitlines()[0]})') from error
  _described[:] = found
  try:
    yield
  finally:
    _described.clear()
