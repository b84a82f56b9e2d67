"""What a function computes, said in one hash: its program and its inputs."""

import ast
import hashlib
import re
import types
from typing import Any, Callable, Iterator

import jax
import jax.numpy as jnp
import numpy as np


def fingerprint(f: Callable[..., Any], *args: Any) -> str:
  """Hash of the program that f is, and of its constants and arguments.

  Traced, not compiled or run; of an argument that is a ShapeDtypeStruct the
  shape and dtype alone are seen.
  """
  closed = jax.make_jaxpr(f)(*args)
  # Where a function lies in memory is no part of a program.
  text = re.sub(r' at 0x[0-9a-f]+', '', str(closed.jaxpr))
  return digest((text, list(_constants(closed)),
                 [x for x in jax.tree.leaves(args)
                  if not isinstance(x, jax.ShapeDtypeStruct)]))


def digest(value: Any) -> str:
  """Hash of a pytree of arrays, keys and texts."""
  hashed = hashlib.sha256()
  for path, leaf in jax.tree_util.tree_leaves_with_path(value):
    hashed.update(jax.tree_util.keystr(path).encode())
    if isinstance(leaf, str):
      hashed.update(leaf.encode())
      continue
    if isinstance(leaf, jax.Array) and jnp.issubdtype(
        leaf.dtype, jax.dtypes.prng_key):
      leaf = jax.random.key_data(leaf)
    x = np.asarray(leaf)
    hashed.update(f'{x.dtype} {x.shape}'.encode() + x.tobytes())
  return hashed.hexdigest()


def sources(*modules: types.ModuleType) -> str:
  """Hash of what modules say, without their comments and docstrings."""
  texts = []
  for module in modules:
    with open(str(module.__file__), encoding='utf-8') as file:
      tree = ast.parse(file.read())
    for node in ast.walk(tree):
      if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and (
          ast.get_docstring(node) is not None):
        del node.body[0]
    texts.append(ast.dump(tree))
  return digest(texts)


def _constants(jaxpr: Any) -> Iterator[Any]:
  """Those of a program, and of every program that it calls."""
  if hasattr(jaxpr, 'consts'):  # a closed one
    yield from jaxpr.consts
    jaxpr = jaxpr.jaxpr
  for equation in jaxpr.eqns:
    for value in equation.params.values():
      for inner in value if isinstance(value, (tuple, list)) else [value]:
        if hasattr(inner, 'eqns'):
          yield from _constants(inner)
