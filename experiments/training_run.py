"""What training runs share: loop, work directory, weights and curves."""

import contextlib
import os
from typing import Any, Callable, Mapping, NamedTuple, Sequence

import jax
import numpy as np
import optax

from experiments import common
from genjax.checks import check
from genjax.data import pipeline
from genjax.training import loop
from genjax.training import parallel
from genjax.training.averages import ema
from genjax.training.checkpoint import Checkpointer
from genjax.training.logs import MetricsWriter
from genjax.training.logs import read_metrics
from genjax.training.state import State
from genjax.training.step import make_step
from genjax.types import LossFn
from genjax.types import Source
from genjax.viz import figures
from genjax.viz.panels import Layer
from genjax.viz.panels import Panel
from genjax.viz.panels import save_panels

# What may differ between two commands that go on with one run.
FREE = ('steps', 'log_every', 'save_every', 'parallel')

# (state as numpy arrays, step) -> scalars for the logs, or None.
HookCall = Callable[[State, int], Mapping[str, float] | None]


class Curve(NamedTuple):
  """A metric of the logs that is drawn over the steps."""

  name: str  # in metrics.jsonl; its held-out values are held_out/<name>
  title: str
  unit: str
  low: float | None = None  # where the axis begins


def train(
    settings: Mapping[str, Any], source: Source, workdir: str, *, state: State,
    tx: optax.GradientTransformation, loss_fn: LossFn,
    make_hooks: Callable[[MetricsWriter], Sequence[HookCall]]
) -> bool:
  """Trains to the last step; returns whether it got there.

  Writes checkpoints, metrics.jsonl and TensorBoard events to `workdir`, and
  goes on from what is there.

  Args:
    settings: of the run (JSON values).
    source: what is trained on.
    workdir: the run's folder.
    state: before the first step.
    tx: the optimizer.
    loss_fn: the loss.
    make_hooks: of the writer of the logs, what is done at every checkpoint.

  Raises:
    ValueError: settings that do not fit the devices or the workdir.
  """
  mesh = parallel.make_mesh()
  check(settings['batch_size'] % mesh.size == 0, 'batch_size',
        f'must be a multiple of the {mesh.size} devices',
        settings['batch_size'])
  compiled = _compile(settings, tx, loss_fn, mesh)
  common.open_workdir(workdir, settings, FREE)
  every = settings['save_every']
  # Closed whatever happens: TensorBoard's events wait in a buffer.
  with contextlib.closing(MetricsWriter(workdir)) as writer:
    outcome = loop.fit(
        compiled, state, common.root_key(settings['seed'], 'training'),
        lambda step: pipeline.batches(
            source, settings['batch_size'], seed=settings['seed'],
            start_step=step,
            horizontal_flip=settings.get('horizontal_flip', False)),
        num_steps=settings['steps'], log_every=settings['log_every'],
        save_every=every, checkpointer=_checkpointer(workdir), writer=writer,
        best_metric='held_out/loss',
        hooks=[loop.Hook(every, hook) for hook in make_hooks(writer)])
  return not outcome.stopped


def _compile(settings, tx, loss_fn, mesh):
  averages = {'ema': ema(settings['ema_decay'])}
  if settings['parallel'] == 'pmap':
    return parallel.pmap_step(loss_fn, tx, mesh, averages=averages)
  return parallel.compile_step(make_step(loss_fn, tx, averages=averages),
                               mesh, fsdp=settings['parallel'] == 'fsdp')


def _checkpointer(workdir):
  return Checkpointer(os.path.join(workdir, 'checkpoints'))


def restore(
    workdir: str, init: Callable[[], State], script: str
) -> tuple[State, int]:
  """The latest state of the run in `workdir`, and its step.

  Args:
    workdir: the run's folder.
    init: makes a state of the run's shapes; it is not computed.
    script: that trains such runs.

  Raises:
    ValueError: there is no checkpoint yet.
  """
  with contextlib.closing(_checkpointer(workdir)) as checkpointer:
    restored = checkpointer.restore(jax.eval_shape(init))
  if restored is None:
    raise ValueError(f'workdir: {workdir!r} must hold a checkpoint: run '
                     f'{script} until it saves one, got none')
  return restored


def draw(workdir: str, curves: Sequence[Curve]) -> None:
  """Writes figures/training.png: those of `curves` that are in the logs.

  The first of them must be there: its legend stands for all.
  """
  records = read_metrics(os.path.join(workdir, 'metrics.jsonl'))

  def layers(curve, prefix, kind, label, color):
    name = prefix + curve.name
    points = [(r['step'], r[name]) for r in records if r.get(name) is not None]
    x, y = np.reshape(points, (-1, 2)).T
    # The first, which every run logs, explains the others too.
    said = label if curve is curves[0] else None
    return [Layer(kind, x, y, said, color)] if points else []

  panels = [
      Panel(curve.title, 'step', curve.unit,
            layers(curve, '', 'line', 'training', figures.BLUE)
            + layers(curve, 'held_out/', 'marked', 'held-out, EMA weights',
                     figures.ORANGE),
            y_limits=None if curve.low is None else (curve.low, None))
      for curve in curves]
  panels = [panel for panel in panels if panel.layers]
  if panels:
    save_panels(os.path.join(workdir, 'figures', 'training.png'), [panels],
                width=max(9, 3 * len(panels)))
