"""The house's floor plan (DESIGN.md, section 1), held by reading the source.

Every rule is a function of (path, source) to a list of complaints; each is
run over the whole tree, and over one planted violation that it must see.
"""

import ast
from collections.abc import Iterator
import graphlib
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]
MAX_LINES, MAX_SCRIPT = 400, 150

# A room is a package or a module directly under genjax/.
FLOORS = (
    {'types', 'checks', 'numerics', 'files', 'machine', 'store', 'user_cache'},
    {'distributions', 'networks', 'data', 'training', 'metrics', 'mcmc',
     'image_distance', 'interpolation', 'viz'},
    {'discriminative', 'noisy_inputs', 'energy', 'densities', 'vae',
     'diffusion'},
    {'runs'},
    {'reports'},
)
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
NEIGHBOURS = {('mcmc', 'distributions'), ('metrics', 'distributions'),
              ('densities', 'energy'), ('noisy_inputs', 'discriminative')}

# The one file through which a heavy library enters the house.
DOORS = {
    'tensorflow_datasets': 'genjax/data/tfds.py',
    'orbax': 'genjax/training/checkpoint.py',
    'matplotlib': 'genjax/viz/figures.py',
}

# What `import genjax.distributions` must not pay for.
HEAVY = {'flax', 'optax', 'orbax', 'tensorflow_datasets', 'sklearn',
         'matplotlib', 'grain', 'tensorboardX', 'PIL', 'chex'}

# Calls of these at import would start a JAX backend, before a script could
# choose its device.
WORK = ('jnp.', 'jax.numpy.', 'jax.random.', 'jax.device', 'jax.local_device',
        'jax.process', 'jax.nn.')


def imported(source: str) -> Iterator[str]:
  """Dotted names of every import of `source`, function-level ones too."""
  for node in ast.walk(ast.parse(source)):
    if isinstance(node, ast.Import):
      yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
      prefix = '.' * node.level + (node.module or '')
      yield from (f'{prefix}.{alias.name}' for alias in node.names)


def is_library(path: str) -> bool:
  return path.startswith('genjax/')


def room_of(path: str) -> str:
  """'diffusion' of genjax/diffusion/loss.py, 'mcmc' of genjax/mcmc.py."""
  return path.split('/')[1].removesuffix('.py')


def check_floors(path: str, source: str) -> list[str]:
  if not is_library(path) or path == 'genjax/__init__.py':
    return []
  here = room_of(path)
  if here not in FLOOR:
    return [f'{path}: {here} is not on the floor plan']
  complaints = []
  for name in imported(source):
    if not name.startswith('genjax.'):
      continue
    there = name.split('.')[1]
    if there == here or there.startswith('__'):
      continue
    if there not in FLOOR:
      complaints.append(f'{path}: {name} is not on the floor plan')
    elif FLOOR[there] > FLOOR[here]:
      complaints.append(f'{path}: {name} is on a higher floor')
    elif (FLOOR[there] == FLOOR[here] > 0
          and (here, there) not in NEIGHBOURS):
      complaints.append(f'{path}: {name} is another room of this floor')
  return complaints


def check_doors(path: str, source: str) -> list[str]:
  if path.startswith('tests/'):
    return []
  return [f'{path}: only {DOORS[library]} imports {library}'
          for library in sorted({n.split('.')[0] for n in imported(source)})
          if library in DOORS and path != DOORS[library]]


def check_imports(path: str, source: str) -> list[str]:
  forbidden = {'genjax': ('absl.flags', 'chex', 'experiments', 'tests'),
               'experiments': ('chex', 'tests'), 'tests': ()}
  complaints = []
  for name in imported(source):
    if name.startswith('.'):
      complaints.append(f'{path}: {name} is a relative import')
    complaints += [f'{path}: must not import {library}'
                   for library in forbidden[path.split('/')[0]]
                   if f'{name}.'.startswith(f'{library}.')]
  return complaints


def check_length(path: str, source: str) -> list[str]:
  lines = len(source.splitlines())
  # A script, or a kind of model.
  short = path.startswith('experiments/') or '\nTASK = Task(' in source
  most = MAX_SCRIPT if short else MAX_LINES
  return [] if lines <= most else [f'{path}: {lines} > {most} lines']


def check_asserts(path: str, source: str) -> list[str]:
  return [f'{path}:{node.lineno}: assert; raise by genjax.checks instead'
          for node in ast.walk(ast.parse(source))
          if isinstance(node, ast.Assert) and is_library(path)]


def check_names(path: str, source: str) -> list[str]:
  del source
  return [f'{path}: say what it holds'] if path.endswith('/utils.py') else []


def check_inheritance(path: str, source: str) -> list[str]:
  """No class of the library inherits from a class of ours."""
  if path.startswith('tests/'):
    return []  # where what is tested may ask for it, as tfds builders do
  tree = ast.parse(source)
  ours = {node.name for node in ast.walk(tree)
          if isinstance(node, ast.ClassDef)}
  for node in ast.walk(tree):
    if isinstance(node, ast.ImportFrom):
      if (node.module or '').split('.')[0] in ('genjax', 'experiments'):
        ours |= {alias.asname or alias.name for alias in node.names}
  return [f'{path}:{node.lineno}: {node.name} inherits {ast.unparse(base)}'
          for node in ast.walk(tree) if isinstance(node, ast.ClassDef)
          for base in node.bases
          if ast.unparse(base).split('.')[0] in ours]


def run_at_import(node: ast.AST) -> Iterator[ast.AST]:
  """Nodes evaluated when the module is imported: no function's body."""
  yield node
  for field, value in ast.iter_fields(node):
    if (isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        and field == 'body'):
      continue
    for child in value if isinstance(value, list) else [value]:
      if isinstance(child, ast.AST):
        yield from run_at_import(child)


def check_work_at_import(path: str, source: str) -> list[str]:
  return [f'{path}:{node.lineno}: {ast.unparse(node.func)} runs at import'
          for node in run_at_import(ast.parse(source))
          if isinstance(node, ast.Call) and not path.startswith('tests/')
          and ast.unparse(node.func).startswith(WORK)]


CHECKS = (check_floors, check_doors, check_imports, check_length,
          check_asserts, check_names, check_inheritance, check_work_at_import)


def sources() -> dict[str, str]:
  """Path, relative to the root, to text of every Python file of the house."""
  return {path.relative_to(ROOT).as_posix(): path.read_text('utf-8')
          for top in ('genjax', 'experiments', 'tests')
          for path in sorted((ROOT / top).rglob('*.py'))}


def cycle(files: dict[str, str]) -> list[str]:
  """The modules of one import cycle among `files`, or an empty list."""
  modules = {path.removesuffix('.py').removesuffix('/__init__')
             .replace('/', '.'): path for path in files}
  graph: dict[str, set[str]] = {}
  for module, path in modules.items():
    graph[module] = set()
    for name in imported(files[path]):
      target = name if name in modules else name.rpartition('.')[0]
      if target in modules and target != module:
        graph[module].add(target)
  try:
    graphlib.TopologicalSorter(graph).prepare()
  except graphlib.CycleError as e:
    return list(e.args[1])
  return []


@pytest.mark.parametrize('check', CHECKS, ids=lambda f: f.__name__)
def test_tree_obeys(check):
  complaints = [c for path, source in sources().items()
                for c in check(path, source)]
  assert not complaints, '\n'.join(complaints)


def test_tree_has_no_import_cycle():
  assert not cycle(sources())


def test_sources_sees_every_floor():
  paths = sources()
  for path in ('genjax/types.py', 'genjax/diffusion/process.py',
               'tests/test_architecture.py'):
    assert path in paths


@pytest.mark.parametrize('check, path, source', [
    (check_floors, 'genjax/checks.py', 'import genjax.data.toy'),
    (check_floors, 'genjax/data/toy.py', 'from genjax import viz'),
    (check_floors, 'genjax/data/toy.py', 'from genjax.metrics import bits'),
    (check_floors, 'genjax/distributions/base.py', 'import genjax.mcmc'),
    (check_floors, 'genjax/distributions/base.py', 'import genjax.vae.model'),
    (check_floors, 'genjax/vae/model.py', 'from genjax import diffusion'),
    (check_floors, 'genjax/distributions/flow.py',
     'def f():\n  import genjax.energy'),
    (check_floors, 'genjax/vae/model.py', 'from genjax.runs import keys'),
    (check_floors, 'genjax/runs/fit.py', 'from genjax.reports import table'),
    (check_floors, 'genjax/densities.py', 'from genjax import vae'),
    (check_floors, 'genjax/energy.py', 'from genjax import densities'),
    (check_floors, 'genjax/attic.py', ''),
    (check_floors, 'genjax/mcmc.py', 'from genjax import attic'),
    (check_doors, 'genjax/data/folder.py', 'import tensorflow_datasets as t'),
    (check_doors, 'genjax/training/loop.py', 'import orbax.checkpoint'),
    (check_doors, 'experiments/demo.py', 'from matplotlib import pyplot'),
    (check_imports, 'genjax/data/toy.py', 'from absl import flags'),
    (check_imports, 'genjax/data/toy.py', 'import absl.flags'),
    (check_imports, 'genjax/data/toy.py', 'from chex import Array'),
    (check_imports, 'genjax/data/toy.py', 'import experiments.common'),
    (check_imports, 'genjax/data/toy.py', 'from . import folder'),
    (check_imports, 'experiments/demo.py', 'from tests import laws'),
    (check_length, 'tests/test_long.py', 'x = 1\n' * (MAX_LINES + 1)),
    (check_length, 'experiments/long.py', 'x = 1\n' * (MAX_SCRIPT + 1)),
    (check_length, 'genjax/runs/long.py',
     'x = 1\n' * MAX_SCRIPT + 'TASK = Task()\n'),
    (check_asserts, 'genjax/data/toy.py', 'def f(x):\n  assert x > 0'),
    (check_names, 'genjax/data/utils.py', ''),
    (check_inheritance, 'genjax/vae/a.py', 'class A: pass\nclass B(A): pass'),
    (check_inheritance, 'genjax/vae/a.py',
     'from genjax.networks.mlp import MLP\nclass B(MLP): pass'),
    (check_work_at_import, 'genjax/data/toy.py', 'X = jnp.zeros(3)'),
    (check_work_at_import, 'genjax/data/toy.py',
     'def f(key=jax.random.key(0)):\n  return key'),
    (check_work_at_import, 'genjax/data/toy.py',
     'class A:\n  n: int = jax.device_count()'),
])
def test_check_sees_a_planted_violation(check, path, source):
  assert check(path, source)


@pytest.mark.parametrize('path, source', [
    ('genjax/numerics.py', 'from genjax.types import Array'),
    ('genjax/mcmc.py', 'from genjax.distributions.base import Distribution'),
    ('genjax/metrics/bits.py', 'from genjax.distributions import base'),
    ('genjax/densities.py', 'from genjax import energy'),
    ('genjax/diffusion/loss.py', 'from genjax.diffusion import process'),
    ('genjax/diffusion/loss.py', 'from genjax.distributions import normal'),
    ('genjax/diffusion/loss.py', 'from genjax import numerics'),
    ('genjax/data/tfds.py', 'import tensorflow_datasets'),
    ('genjax/training/loop.py', 'from absl import logging'),
    ('genjax/runs/vae.py', 'from genjax.vae import model\nimport genjax.viz'),
    ('genjax/reports/vae.py', 'from genjax.runs import open_run'),
    ('genjax/vae/model.py', 'class A(nn.Module):\n  n: int = 1'),
    ('genjax/numerics.py', 'def f(x):\n  return jnp.sum(x)'),
    ('genjax/numerics.py', 'F = lambda x: jnp.sum(x)\nG = jax.jit(F)'),
    ('experiments/demo.py', 'from absl import flags\nimport genjax.viz'),
    ('tests/test_toy.py', 'import chex\nassert chex'),
])
def test_checks_accept_what_the_plan_allows(path, source):
  assert not [c for check in CHECKS for c in check(path, source)]


def test_cycle_sees_a_planted_cycle():
  files = {'genjax/a.py': 'from genjax.b import f',
           'genjax/b.py': 'from genjax import c',
           'genjax/c.py': 'def f():\n  import genjax.a'}
  assert {'genjax.a', 'genjax.b', 'genjax.c'} <= set(cycle(files))
  assert not cycle(files | {'genjax/c.py': ''})


@pytest.mark.parametrize('statement, unwanted', [
    ('import genjax', HEAVY | {'jax', 'numpy'}),
    ('import genjax, genjax.distributions', HEAVY),
])
def test_import_genjax_is_light(statement, unwanted):
  code = f'{statement}\nimport sys\nprint(*sys.modules)'
  result = subprocess.run([sys.executable, '-c', code], cwd=ROOT, check=True,
                          capture_output=True, text=True)
  loaded = {name.split('.')[0] for name in result.stdout.split()}
  assert 'genjax' in loaded
  assert not loaded & unwanted
