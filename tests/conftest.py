"""What holds in every test; x64 stays off.

There are eight virtual CPU devices: arrays live on the first of them unless a
test says otherwise. Programs are compiled without most optimisations, as each
runs a few times only, and by the emitter of LLVM code that is quickest to
compile, in one part each; JAX_DISABLE_MOST_OPTIMIZATIONS=0 in the environment
compiles them as users do. They are forgotten after every room. Python looks
for cycles of garbage seldom, and never among what was imported. Rooms whose
modules take longest come first, so that no worker is left alone with one.
"""

import ctypes
import functools
import gc
import os

import hypothesis
import jax
from jax._src.interpreters import mlir
import pytest

# Read when jax first asks for its devices, which importing it does not.
os.environ['XLA_FLAGS'] = (
    os.environ.get('XLA_FLAGS', '')
    + ' --xla_force_host_platform_device_count=8')
# The same examples every time, however slow the machine is.
hypothesis.settings.register_profile(
    'house', derandomize=True, deadline=None, database=None)
hypothesis.settings.load_profile('house')
if 'JAX_DISABLE_MOST_OPTIMIZATIONS' not in os.environ:
  jax.config.update('jax_disable_most_optimizations', True)
  os.environ['XLA_FLAGS'] += (
      ' --xla_cpu_use_fusion_emitters=false'
      ' --xla_cpu_parallel_codegen_split_count=1')

# For every program jax makes a context to write it down in, which takes a third
# of the time that a small one takes to compile. One serves all of a module, but
# for what is compiled while another is being written down. In a jax that has no
# such function the lines that name it may go: they only save time.
_new_context = mlir.make_ir_context
_one_context = functools.cache(_new_context)


def _context():
  try:
    mlir.ir.InsertionPoint.current
  except ValueError:
    return _one_context()
  return _new_context()


mlir.make_ir_context = _context

_FIRST = ('experiments', 'runs', 'distributions', 'networks', 'vae',
          'training', 'diffusion')


def pytest_collection_modifyitems(items):
  places = {room: place for place, room in enumerate(_FIRST)}
  items.sort(key=lambda item: places.get(item.path.parent.name, len(places)))


def pytest_collection_finish():
  gc.set_threshold(50_000, 20, 20)
  gc.freeze()


@pytest.fixture(scope='session', autouse=True)
def own_cache_folder(tmp_path_factory):
  """What is kept between runs is not kept among what the user's runs keep."""
  with pytest.MonkeyPatch.context() as patch:
    patch.setenv('XDG_CACHE_HOME', str(tmp_path_factory.mktemp('home')))
    yield


def pytest_runtest_teardown(item, nextitem):
  """Programs of one room are of little use to the next, and fill the memory."""
  if nextitem is None or nextitem.path.parent != item.path.parent:
    jax.clear_caches()


@pytest.fixture(scope='module', autouse=True)
def forget_context():
  """That in which the programs of a module were written down."""
  yield
  _one_context.cache_clear()
  if trim := getattr(ctypes.CDLL(None), 'malloc_trim', None):
    trim(0)  # glibc keeps what was freed
