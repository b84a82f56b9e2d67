"""A fingerprint is another wherever what is computed is."""

import types

import jax.numpy as jnp
import numpy as np

from genjax.training import programs


def _scaled_by(factor):
  factor = jnp.asarray(factor)
  return lambda x: factor * x


def test_a_fingerprint_sees_program_constants_and_arguments():
  x = np.arange(3.)
  seen = [programs.fingerprint(f, x) for f in (
      _scaled_by(np.ones(3)), _scaled_by(np.full(3, 2.)), jnp.sin, jnp.cos)]
  seen.append(programs.fingerprint(jnp.sin, x + 1))
  assert len(set(seen)) == 5
  assert programs.fingerprint(_scaled_by(np.ones(3)), x) == seen[0]


def test_a_digest_sees_shape_dtype_and_place():
  x = np.zeros(4, np.float32)
  assert len({programs.digest(value) for value in (
      x, x.reshape(2, 2), x.astype(np.int32), (x, 'a'), ('a', x))}) == 5


def test_sources_are_what_is_said_but_for_comments_and_docstrings(tmp_path):
  def hash_of(text):
    module = types.ModuleType('planted')
    module.__file__ = str(tmp_path / 'planted.py')
    (tmp_path / 'planted.py').write_text(text, 'utf-8')
    return programs.sources(module)

  plain = hash_of('X = 1\n\n\ndef f(x):\n  return x\n')
  assert plain == hash_of(
      '"""Doc."""\nX = 1  # one\n\n\ndef f(x):\n  """Doc."""\n  return x\n')
  assert plain != hash_of('X = 2\n\n\ndef f(x):\n  return x\n')
