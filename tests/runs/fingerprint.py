"""What a setting decides, seen without training: the fingerprint of a run.

`fit_run` is called, and stopped before anything is compiled: at `loop.fit`. Of
what it was about to do are taken the programs (jaxprs of the first params, of
the step, and of whatever the model can do), the bytes of their constants, the
bytes of the first two batches, what the loop is told, and which hooks run how
often.
"""

import contextlib
import functools
import inspect
import tempfile
from typing import Any, Callable, Iterator
from unittest import mock

import flax.errors
import jax
import numpy as np

from genjax.data import pipeline
from genjax.runs import fit
from genjax.runs.task import Task
from genjax.training import loop
from genjax.training import parallel
from genjax.training import programs as jaxprs
from genjax.training.state import init_state
from genjax.training.step import make_step
from genjax.training.step import several

Part = Callable[[], str]


class _Reached(Exception):
  """The loop was reached, and is not entered."""


def fingerprint(task: Task, settings: Any, data: Any) -> dict[str, Part]:
  """What a run of these settings and data would do: part -> hash or text.

  A part is found when it is first asked for; those that take long come last.

  Args:
    task: the kind.
    settings: of it.
    data: to train on; a function of the settings where they decide it.
  """
  data = data(settings) if callable(data) else data
  # A model that is kept would be compared with itself.
  task = task._replace(build=inspect.unwrap(task.build))
  if not trained(task, settings):
    model = task.build(settings)
    params = jax.eval_shape(model.init, jax.random.key(0), None)
    return _functions(model, params, settings, {'cond': {}})
  programs: dict[str, Part] = {}
  found: dict[str, Part] = {}

  def no_init(key, settings, model, objective, source, seed):
    batch = pipeline.batch_at(source, settings.batch_size, 0, seed=seed)
    params = jax.eval_shape(model.init, key, None)
    found['shapes'] = lambda: repr(params)
    programs['init'] = lambda: jaxprs.fingerprint(model.init, key, batch)
    programs.update(_functions(model, params, settings, batch))
    return jax.eval_shape(lambda params: init_state(
        params, objective.tx, model.averages, objective.frozen), params)

  def no_begin(workdir, kind, settings, init_from):
    found['begins'] = lambda: repr(init_from)
    return settings, None

  def no_loop(compiled, state, key, batches_from, **told):
    first, second = (next(batches_from(step)) for step in range(2))
    hooks = repr([(hook.every, *_where(hook.call)) for hook in told['hooks']])
    numbers = repr({name: value for name, value in told.items()
                    if isinstance(value, (int, float, str))})
    found['told'] = lambda: numbers
    found['kept'] = lambda: repr(told['checkpointer'].every)
    found['profiled'] = lambda: repr(told['profile'].steps)
    found['layout'] = lambda: compiled.layout
    found['hooks'] = lambda: hooks
    found['batches'] = lambda: jaxprs.digest((first, second))
    found['step'] = lambda: jaxprs.fingerprint(compiled.step, state, key, first)
    raise _Reached

  with _uncompiled(), tempfile.TemporaryDirectory() as workdir:
    with (mock.patch.object(fit, 'first_state', no_init),
          mock.patch.object(fit, 'check_memory', lambda *args: (0, None)),
          mock.patch.object(fit, 'begin', no_begin),
          mock.patch.object(loop, 'fit', no_loop),
          contextlib.suppress(_Reached)):
      fit.fit_run(task, settings, data, f'{workdir}/run')
  return {name: functools.cache(part)
          for name, part in (found | programs).items()}


def differ(a: dict[str, Part], b: dict[str, Part]) -> bool:
  """Whether any part of two fingerprints of one kind is another."""
  return a.keys() != b.keys() or any(a[name]() != b[name]() for name in a)


def trained(task: Task, settings: Any) -> bool:
  """Whether the model of these settings is one that is trained."""
  try:
    task.loss(settings, task.build(settings))
  except ValueError as error:
    if 'to be trained' not in str(error):
      raise
    return False
  return True


def _functions(
    model: Any, params: Any, settings: Any, batch: Any
) -> dict[str, Part]:
  """Of everything that the trained model can do, the program."""
  cond = {name: np.asarray(x[:2]) for name, x in batch['cond'].items()}
  calls = {
      'sample': lambda f, x: f(jax.random.key(0), (2,)),
      'sample_cond': lambda f, x: f(jax.random.key(0), (2,), cond),
      'log_prob': lambda f, x: f(x),
      'encode': lambda f, x: f(x, cond),
      'denoiser': lambda f, x: f(cond)(x, 0.5),
      'predict': lambda f, x: f(x),
  }
  x = np.zeros((2, *settings.shape), np.float32)

  def part(name: str) -> str:
    kind = name.partition('_')[0] if name == 'sample_cond' else name

    def program(params, x):
      function = getattr(model.functions(params), kind)
      return None if function is None else calls[name](function, x)

    try:
      return jaxprs.fingerprint(program, params, x)
    except (ValueError, TypeError, KeyError,
            flax.errors.FlaxError) as error:
      return f'refused: {error}'

  return {name: functools.partial(part, name) for name in calls}


class _Uncompiled:
  """A step that is not compiled, and how it would have been laid out."""

  def __init__(self, step: Any, layout: str):
    self.step = step
    self.layout = layout


@contextlib.contextmanager
def _uncompiled() -> Iterator[None]:

  def compile_step(step, mesh, *, fsdp=False, partition=None):
    return _Uncompiled(step, f'jit {mesh.shape} fsdp={fsdp}')

  def pmap_step(loss_fn, tx, mesh, *, steps_per_call, **how):
    step = several(make_step(loss_fn, tx, **how), steps_per_call)
    return _Uncompiled(step, f'pmap {mesh.size}')

  with (mock.patch.object(parallel, 'compile_step', compile_step),
        mock.patch.object(parallel, 'pmap_step', pmap_step)):
    yield


def _where(f: Any) -> tuple[str, str]:
  f = getattr(f, 'func', f)
  return f.__module__, f.__qualname__
