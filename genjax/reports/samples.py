"""Samples on disk: where they may go, and the flags used beside them."""

import os
from typing import Any, Sequence

import numpy as np

from genjax.checks import check
from genjax.data import sample_files
from genjax.files import write_json


def check_out(out: str, flat: bool) -> None:
  """Raises ValueError unless samples can go to `out` and stand there alone."""
  if out.endswith('.npz'):
    beside = f'{out[:-4]}.json'
    check(os.path.exists(out) or not os.path.exists(beside), 'out',
          f'must be called otherwise: its flags would replace {beside!r}',
          repr(out))
    return
  check(not flat, 'out', 'must end in .npz for points and signals', repr(out))
  # Pictures of an earlier call would be taken for samples of this one.
  check(not (os.path.isdir(out) and os.listdir(out)), 'out',
        'must be a new or an empty folder, or an .npz file', repr(out))


def write_samples(
    out: str, x: np.ndarray, label: np.ndarray | None,
    class_names: Sequence[str], used: dict[str, Any]
) -> str:
  """Writes samples and the flags used; returns the path of these."""
  sample_files.write_samples(out, x, label, class_names)
  path = (f'{out[:-4]}.json' if out.endswith('.npz')
          else os.path.join(out, 'flags.json'))
  write_json(path, used)
  return path
