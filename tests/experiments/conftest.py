"""Scripts run in process, as `python -m experiments.<name>` would run them.

Runs that several tests look at are made once a session, and not written to.
"""

import contextlib
import hashlib
import io
import logging
import os
import pathlib
import signal
import sys
import types
from typing import Any, Iterable, NamedTuple
from unittest import mock
import warnings

from absl import flags
from absl import logging as absl_logging
import jax
from jax.experimental.compilation_cache import compilation_cache
import numpy as np
from PIL import Image
import pytest

from experiments import app
from experiments import sample
from experiments import train_classifier
from genjax.data import embedded
from genjax.data import pipeline
from genjax.data.identity import identify
from genjax.metrics import pixel_densities
from genjax.runs import diffusion
from genjax.runs import diffusion_functions
from genjax.runs import workdir as workdirs
from genjax.runs.diffusion_choice import resolve
from genjax.runs.diffusion_settings import Settings
from genjax.training import parallel
from genjax.training.checkpoint import Checkpointer
from genjax.training.state import init_state
from genjax.viz import figures
from tests.experiments import last_lines


class Result(NamedTuple):
  """What a script left behind."""

  code: int
  out: str
  err: str  # what it wrote to stderr, logs included

  def check_refusal(self, script: str, said: Iterable[str]) -> None:
    """Fails unless the script wrote one line, of all that was to be said."""
    assert (self.code, self.out) == (1, '')
    assert self.err.startswith(f'{script}: ')
    assert self.err.count('\n') == 1 and self.err.endswith('\n'), self.err
    for part in said:
      assert part in self.err


@contextlib.contextmanager
def _absl_logs_to(stream):
  handler = absl_logging.get_absl_handler().python_handler
  before, handler.stream = handler.stream, stream
  root = logging.getLogger()
  handlers, level = root.handlers[:], root.level
  quiet = logging.getLogger('jax').level
  try:
    yield
  finally:
    handler.stream = before
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.getLogger('jax').setLevel(quiet)


@contextlib.contextmanager
def _compiled_fast():
  """Without most optimisations: each program runs for a few steps only."""
  before = jax.config.values['jax_disable_most_optimizations']
  jax.config.update('jax_disable_most_optimizations', True)
  try:
    yield
  finally:
    jax.config.update('jax_disable_most_optimizations', before)


@contextlib.contextmanager
def _compile_cache_in(folder):
  """One for the session's scripts, unless the environment names another."""
  if jax.config.values['jax_compilation_cache_dir'] is not None:
    yield
    return
  names = ('jax_compilation_cache_dir',
           'jax_persistent_cache_min_compile_time_secs',
           'jax_persistent_cache_min_entry_size_bytes')
  before = {name: jax.config.values[name] for name in names}
  compilation_cache.reset_cache()
  jax.config.update(names[0], str(folder))
  try:
    yield
  finally:
    for name, value in before.items():
      jax.config.update(name, value)
    compilation_cache.reset_cache()


def run_script(cache, module: types.ModuleType, *args: Any) -> Result:
  """Runs `module` with command-line arguments; a traceback is raised here.

  The last lines of a script that ends well must name what it wrote.
  """
  out, err = io.StringIO(), io.StringIO()
  before = set(flags.FLAGS)
  own: set[str] = set()
  signals = {s: signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)}
  files = last_lines.stamps(args)
  code: Any = None
  try:
    with (_compile_cache_in(cache), _compiled_fast(),
          contextlib.redirect_stdout(out), contextlib.redirect_stderr(err),
          _absl_logs_to(err), warnings.catch_warnings(),
          # This process has other threads, and goes on; see test_app.
          mock.patch.object(app, '_leave', sys.exit)):
      warnings.simplefilter('error')
      module.define_flags()
      own = set(flags.FLAGS) - before
      app.run(module.main, [f'{module.__name__.split(".")[-1]}.py',
                               *map(str, args)],
                 words=tuple(getattr(module, 'WORDS', ())))
  except SystemExit as error:
    code = error.code
  finally:
    flags.FLAGS.unparse_flags()
    for name in own:  # not those of libraries that the script imported
      delattr(flags.FLAGS, name)
  assert signals == {s: signal.getsignal(s) for s in signals}
  result = Result(code or 0, out.getvalue(), err.getvalue())
  if result.code == 0 and 'the same command goes on' not in result.out:
    assert not last_lines.complaint(args, result.out, files)
  return result


def _files_of(folder) -> dict[str, str]:
  """Path -> digest of every file below `folder`, path -> '' of folders."""
  root = pathlib.Path(folder)
  return {str(p.relative_to(root)):
          '' if p.is_dir() else hashlib.sha256(p.read_bytes()).hexdigest()
          for p in sorted(root.rglob('*'))}


def _state_of(workdir):
  """(state as numpy arrays, step) of the latest checkpoint in `workdir`."""
  written = workdirs.read(str(workdir))
  settings = workdirs.settings_of(written, Settings)
  checkpointer = Checkpointer(os.path.join(workdir, 'checkpoints'),
                              run=written.run)
  with contextlib.closing(checkpointer):
    return checkpointer.restore(jax.eval_shape(lambda: _init(settings)))


def _init(settings):
  model = diffusion.build(settings)
  return init_state(model.init(jax.random.key(0), None),
                    diffusion.loss(settings, model).tx, model.averages)


def _write_pictures(folder, num: int, size: int = 32) -> pathlib.Path:
  """Crops of real photographs as PNG files, at the top of `folder`."""
  folder.mkdir(parents=True, exist_ok=True)
  for i, image in enumerate(embedded.patches(num, size).arrays['image']):
    Image.fromarray(image).save(folder / f'{i:03d}.png')
  return folder


@pytest.fixture(scope='module', autouse=True)
def few_sampling_steps():
  """Grids drawn while training take two steps, log-densities four: the one
  thing not as it is."""
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(diffusion_functions, '_STEPS', 4)
    for name, preset in diffusion.RECIPES.items():
      patch.setitem(diffusion.RECIPES, name,
                    {**preset, 'sampling_steps': 2})
    yield


@pytest.fixture(scope='module')
def one_device():
  """Many would wait for each other; what they do is tested on digits."""
  make_mesh = parallel.make_mesh
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(parallel, 'make_mesh',
                  lambda num=None, model=1: make_mesh(num or 1, model))
    yield


@pytest.fixture(scope='module')
def few_dots():
  """Figures of less than half the resolution, for modules that draw many."""
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(figures, 'DOTS', 60)
    yield


@pytest.fixture(scope='module', autouse=True)
def few_fits_of_pixels():
  """Of the mixtures that reports on VAEs put beside them: two short ones."""
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(pixel_densities, '_FLOORS', (0.1,))
    patch.setattr(pixel_densities, '_STEPS', 1)
    yield


@pytest.fixture
def stop_at(monkeypatch):
  """stop_at(step) is a context in which training is told to stop then."""

  @contextlib.contextmanager
  def context(step):
    batches = pipeline.batches

    def interrupted(*args, start_step, **kwargs):
      inner = batches(*args, start_step=start_step, **kwargs)
      for number, batch in enumerate(inner, start_step + 1):
        # Read ahead of the step, which is finished and saved all the same.
        if number == step + 1:
          signal.raise_signal(signal.SIGTERM)
        yield batch

    with monkeypatch.context() as patch:
      patch.setattr(pipeline, 'batches', interrupted)
      yield

  return context


@pytest.fixture(scope='session')
def cache(tmp_path_factory):
  """Folder of the programs that the session's scripts compile."""
  return tmp_path_factory.mktemp('cache')


@pytest.fixture(scope='session')
def files_of():
  return _files_of


@pytest.fixture(scope='session')
def state_of():
  return _state_of


@pytest.fixture(scope='session')
def write_pictures():
  return _write_pictures


@pytest.fixture(scope='session')
def tiny():
  """The digits preset, but for what makes it slow to compile and to run."""
  return ('--network=dit', '--width=8', '--batch_size=8', '--log_every=1')


@pytest.fixture(scope='session')
def run(cache):
  return lambda module, *args: run_script(cache, module, *args)


def _write_run(workdir, preset, **values):
  """A workdir as training leaves it, with random parameters, uncompiled."""
  settings, data, _ = resolve(preset, {
      'steps': 6, 'sampling_steps': 2, **values})
  state = jax.jit(lambda: _init(settings), compiler_options={
      'xla_backend_optimization_level': 0})()
  rng = np.random.default_rng(0)

  def shaken(x):  # the networks begin at zero, where labels make no difference
    return x + rng.normal(0, 0.3, x.shape).astype(x.dtype)

  state = state._replace(params=jax.tree.map(shaken, state.params),
                         averages=jax.tree.map(shaken, state.averages),
                         step=np.int32(6))
  checkpointer = Checkpointer(
      str(workdir / 'checkpoints'), run=workdirs.create_or_check(
          str(workdir), 'diffusion', settings, identify(data.train)))
  with contextlib.closing(checkpointer):
    checkpointer.save(6, jax.tree.map(np.asarray, state))
  return workdir


@pytest.fixture(scope='session')
def write_run():
  return _write_run


@pytest.fixture(scope='session')
def digits_run(tmp_path_factory):
  """The workdir of a class-conditional run on digits."""
  return _write_run(tmp_path_factory.mktemp('digits') / 'run', 'digits',
                    network='dit', width=(8,), batch_size=8)


@pytest.fixture(scope='session')
def classifier_run(run, tmp_path_factory):
  """The workdir of a classifier of digits that has learnt next to nothing."""
  workdir = tmp_path_factory.mktemp('classifier') / 'run'
  result = run(train_classifier, f'--workdir={workdir}', '--steps=2',
               '--batch_size=8', '--width=8')
  assert result.code == 0, result.err
  return workdir


@pytest.fixture(scope='session')
def toy_run(tmp_path_factory):
  """The workdir of an unconditional run on points of a known mixture."""
  return _write_run(tmp_path_factory.mktemp('toy') / 'run', 'toy',
                    data='toy:eight_gaussians', width=(8,), depth=1,
                    conditional=False)


@pytest.fixture(scope='session')
def draw(run, tmp_path_factory):
  """Runs sample on a workdir into a new .npz: (images, labels or None)."""

  def call(workdir, *args):
    out = tmp_path_factory.mktemp('samples') / 'x.npz'
    result = run(sample, f'--workdir={workdir}', f'--out={out}', *args)
    assert result.code == 0, result.err
    with np.load(out) as arrays:
      return arrays['arr_0'], arrays.get('arr_1')

  return call
