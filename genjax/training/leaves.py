"""What the arrays of a pytree are, by the paths of its leaves."""

import hashlib
import json
from typing import Any, Mapping

import jax
import numpy as np

from genjax.checks import check
from genjax.types import PyTree

# Shape, dtype and sha256 of an array, as JSON.
Description = list[Any]


def by_path(tree: PyTree) -> dict[str, Any]:
  """Leaves by their paths, in the order of `jax.tree.leaves`."""
  return {jax.tree_util.keystr(path): x
          for path, x in jax.tree_util.tree_leaves_with_path(tree)}


def describe(arrays: Mapping[str, Any]) -> dict[str, Description]:
  """Shape, dtype and sha256 of every array."""
  return {
      name: [list(np.shape(x)), str(x.dtype),
             # As bytes: bfloat16 is no dtype of python's buffers.
             hashlib.sha256(np.ravel(x).view(np.uint8).data).hexdigest()]
      for name, x in arrays.items()}


def differing(
    a: Mapping[str, Description], b: Mapping[str, Description]
) -> list[str]:
  """Names of the arrays that are not the same in both."""
  return [name for name in sorted(a.keys() | b.keys())
          if a.get(name) != b.get(name)]


def check_fit(
    saved: Mapping[str, Description], target: Mapping[str, Any]
) -> None:
  """Raises ValueError unless `target` has the saved shapes and dtypes."""
  there = {name: leaf[:2] for name, leaf in saved.items()}
  wanted = {name: [list(x.shape), str(x.dtype)] for name, x in target.items()}
  for name in differing(there, wanted):
    check(False, 'restore',
          f'{name} must be {there.get(name, "absent")} as in the checkpoint',
          wanted.get(name, 'none'))


def layout(tree: PyTree) -> dict[str, str]:
  """What a program that takes `tree` is compiled for, leaf by leaf."""
  return {name: f'{x.dtype} {np.shape(x)}{_lies(x)}'
          for name, x in by_path(tree).items()}


def _lies(x: Any) -> str:
  """Where an array lies, if on devices; one sharding may have many specs."""
  if not isinstance(x, jax.Array):
    return ''
  devices = x.sharding.device_set
  return (f'{", weakly typed," * x.aval.weak_type} in shards of '
          f'{x.sharding.shard_shape(x.shape)} on {len(devices)} devices from '
          f'{min(map(str, devices))}')


class Steady:
  """Sees to it that the layout of something stays as it is first seen.

  Args:
    what: name of it, in the message.
  """

  def __init__(self, what: str):
    self._what = what
    self._first: dict[str, str] | None = None

  def check(self, tree: PyTree) -> None:
    """Raises ValueError unless the layout of `tree` is the first one's."""
    now = layout(tree)
    first = self._first = now if self._first is None else self._first
    for name in sorted(first.keys() | now.keys()):
      check(first.get(name) == now.get(name), 'fit', f'{name} of {self._what} '
            f'must be {first.get(name, "absent")} as at the first step, which '
            'would be compiled again', now.get(name, 'none'))


def checksum(value: Any) -> str:
  """sha256 of a JSON value, whatever the order of its names."""
  return hashlib.sha256(
      json.dumps(value, sort_keys=True).encode()).hexdigest()
