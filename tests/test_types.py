"""mypy sees a wrong sampler, network or loss, where it is handed over."""

import pathlib
import re

from mypy import api
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]

# Only our own signatures matter: of libraries nothing is read.
CONFIG = f'''
[mypy]
mypy_path = {ROOT}
check_untyped_defs = True
follow_imports = silent
ignore_missing_imports = True
disable_error_code = var-annotated
[mypy-jax.*,numpy.*,flax.*,optax.*,scipy.*]
follow_imports = skip
'''

HEAD = '''
from typing import Any, Mapping
from genjax.diffusion import process, prediction, samplers
from genjax.diffusion.model import Diffusion, fixed
from genjax.types import (Apply, Array, Batch, Cond, Context, Denoiser, Key,
                          LossFn, Metrics, Params)
'''

# What is handed over by a file, and where it says that it is wrong: right ones
# have no such line.
FILES = {
    'sampler': '''
def step(noise: samplers.Noise, carry: Any, x: Array, denoiser: Denoiser,
         span: samplers.Span) -> tuple[Any, Array]:
  return carry, denoiser(x, span.t)
sampler = samplers.Sampler(lambda x: None, step)
''',
    'wrong_sampler': '''
def step(noise: samplers.Noise, carry: Any, x: Array, denoiser: Denoiser,
         t: Array, s: Array) -> tuple[Any, Array]:
  return carry, denoiser(x, t)
sampler = samplers.Sampler(lambda x: None, step)  # wrong
''',
    'network': '''
def apply(variables: Any, x: Array, noise: Array, cond: Cond | None, *,
          train: bool = False, rngs: Mapping[str, Key] | None = None) -> Array:
  return x
model = Diffusion(apply, fixed(process.edm()), prediction.v, 1.0)
''',
    'wrong_network': '''
def apply(variables: Any, x: Array, log_snr: Array, label: Array | None
          ) -> Array:
  return x
model = Diffusion(apply, fixed(process.edm()), prediction.v, 1.0)  # wrong
''',
    'loss': '''
def loss(params: Params, key: Key, batch: Batch, context: Context
         ) -> tuple[Array, Metrics]:
  return params, {}
f: LossFn = loss
''',
    'wrong_loss': '''
def loss(params: Params, key: Key, batch: Batch) -> tuple[Array, Metrics]:
  return params, {}
f: LossFn = loss  # wrong
''',
}


@pytest.fixture(scope='module', name='errors')
def find_errors(tmp_path_factory) -> dict[str, set[int]]:
  """Lines of every file that mypy, run once for all, complains about."""
  folder = tmp_path_factory.mktemp('typed')
  (folder / 'mypy.ini').write_text(CONFIG)
  for name, text in FILES.items():
    (folder / f'{name}.py').write_text(HEAD + text)
  out, err, _ = api.run([
      '--config-file', str(folder / 'mypy.ini'), '--cache-dir',
      str(folder / 'cache'), '--no-error-summary',
      *(str(folder / f'{name}.py') for name in FILES)])
  assert not err
  lines = re.findall(r'(\w+)\.py:(\d+): error', out)
  assert {name for name, _ in lines} <= set(FILES), out
  return {name: {int(line) for where, line in lines if where == name}
          for name in FILES}


@pytest.mark.parametrize('name', FILES)
def test_mypy_sees_a_wrong_signature(name, errors):
  lines = (HEAD + FILES[name]).splitlines()
  wrong = {i for i, line in enumerate(lines, 1) if line.endswith('# wrong')}
  assert bool(wrong) == name.startswith('wrong')
  assert errors[name] == wrong
