"""How well a diffusion run restores images, and whether it knows how well.

Held-out images are measured, drawn again from the measurement, and held against
the truth, against the exact posterior of the training images, and against each
other: calibrated draws leave the truth anywhere among them.
"""

import dataclasses
import os
from typing import Callable, Mapping, NamedTuple

import jax.numpy as jnp
import numpy as np

from genjax.data import pipeline
from genjax.diffusion import exact_posterior
from genjax.diffusion import operators
from genjax.diffusion import restoring
from genjax.diffusion.model import make_denoiser
from genjax.diffusion.operators import Operator
from genjax.files import write_json
from genjax.metrics import ranks
from genjax.metrics.estimate import Estimate
from genjax.metrics.estimate import of_mean
from genjax.reports.image_sets import Images
from genjax.reports.judge import Judge
from genjax.reports.table import Cell
from genjax.reports.table import Column
from genjax.reports.table import make_table
from genjax.reports.table import records
from genjax.reports.table import Table
from genjax.runs import keys
from genjax.runs.task import Run
from genjax.viz.restoration import save_ranks
from genjax.viz.restoration import save_restorations
from genjax.viz.restoration import Shown

_ROWS, _DRAWS = 8, 4  # of a figure
_BLOCK = 256  # draws times particles that are moved at a time
_LARGEST = 10**8  # numbers of training images that a posterior is taken of


@dataclasses.dataclass(frozen=True)
class Effort:
  """How much is done."""

  num_draws: int  # of each
  particles: int
  repeats: int
  scale: float  # of dps and pigdm


class Found(NamedTuple):
  """Draws of one solver for N images."""

  x: np.ndarray  # [N, S, H, W, C]
  log_evidence: np.ndarray  # [N, S], NaN where there is none


def restore(
    run: Run, operator: Operator, solver: str, steps: int, y: np.ndarray,
    noise_std: float, effort: Effort, seed: int
) -> Found:
  """Draws of a run given measurements y [N, *measured].

  The model is told no class. The noise of each draw is that of its number: the
  draws of an image do not depend on the others.

  Raises:
    ValueError: the solver needs noise.
  """
  diffusion = run.task.build(run.settings).parts.diffusion
  make = restoring.make_restore(
      make_denoiser(diffusion), diffusion.process_of,
      lambda process: process.grid(steps), operator, solver,
      noise_std=noise_std, options=restoring.Options(
          run.settings.data_std, effort.scale, effort.repeats,
          effort.particles))
  num = len(y) * effort.num_draws
  index = np.arange(num)
  rows = index // effort.num_draws
  size = max(1, _BLOCK // (
      effort.particles if solver in restoring.EXACT else 1))
  parts = []
  for start in range(0, num, size):
    # The last block is filled, so that nothing is compiled twice.
    block = np.minimum(np.arange(start, start + size), num - 1)
    done = make(
        run.params, keys.key(seed, 'sample'), jnp.asarray(index[block]),
        jnp.asarray(y[rows[block]], jnp.float32))
    parts.append([np.asarray(a)[:num - start] for a in done])
  x, nats = (np.concatenate(a) for a in zip(*parts))
  lead = (len(y), effort.num_draws)
  return Found(x.reshape(*lead, *x.shape[1:]), nats.reshape(lead))


def report(
    run: Run, train: np.ndarray, test: Images, operator: Operator,
    solvers: Mapping[str, int], folder: str, *, noise_std: float,
    effort: Effort, judge: Judge | None, seed: int, say: Callable[[str], None]
) -> Table:
  """Writes report.json, a figure a solver, and that of the ranks.

  Args:
    run: a diffusion run of images.
    train: [M, H, W, C], its training images in [-1, 1].
    test: N held-out images, which are measured.
    operator: what is measured of them.
    solvers: names, of `restoring.SOLVERS`, and how many steps each takes.
    folder: to write to.
    noise_std: standard deviation of the noise of a measurement.
    effort: how much is done.
    judge: a classifier of the images, where they have classes.
    seed: of noise and draws.
    say: is told each solver's name before it begins.

  Returns:
    A table, a row a solver.
  """
  x = np.asarray(test.x)
  noise = keys.generator(seed, 'test').normal(size=(len(x), *operator.measured))
  y = np.asarray(operator.apply(jnp.asarray(x))) + noise_std * noise
  unseen, counts = _unseen(operator), {}
  rows: list[list[Cell]] = []
  exact = None
  nearest = np.asarray(operators.pseudoinverse(
      operator, jnp.asarray(y, jnp.float32)))
  if noise_std > 0 and train.size <= _LARGEST:
    known = exact_posterior.finite_dataset(
        jnp.asarray(train), operators.measure(
            'restoration', operator, jnp.asarray(y), noise_std))
    exact = np.asarray(known.mean)
    rows.append(['training images', _error(exact, x), None, None, None, None,
                 of_mean(np.asarray(known.log_evidence))])
  for solver, steps in solvers.items():
    say(f'{solver}: {len(x)} images, {effort.num_draws} draws of each')
    found = restore(run, operator, solver, steps, y, noise_std, effort, seed)
    draws = np.clip(found.x, -1, 1)  # as pixels are: both ends are common
    place = ranks.ranks(x.reshape(len(x), -1)[:, unseen], draws.reshape(
        *draws.shape[:2], -1)[..., unseen], seed)
    counts[solver] = np.bincount(
        place.ravel(), minlength=effort.num_draws + 1).tolist()
    mean = draws.mean(1)
    rows.append([
        solver, _error(mean, x), None if exact is None else _error(mean, exact),
        _misfit(draws, operator, y), ranks.spread(place, effort.num_draws),
        None if judge is None else _recognised(judge, draws, test.label),
        of_mean(found.log_evidence.mean(1)) if solver in restoring.EXACT
        else None])
    _draw(os.path.join(folder, f'{solver}.png'), nearest, x, draws, solver)
  save_ranks(os.path.join(folder, 'ranks.png'), counts, effort.num_draws)
  table = make_table([
      'solver', Column('truth', 'off the truth'),
      Column('posterior', 'off the posterior'), 'misfit', 'spread',
      'recognised', Column('log_evidence', 'log p(y)')], rows)
  write_json(os.path.join(folder, 'report.json'), {
      'solvers': records(table), 'ranks': counts})
  return table


def _unseen(operator: Operator) -> np.ndarray:
  """Which entries of an image no measurement holds; all where none is held."""
  held = operators.pseudoinverse(operator, operator.apply(
      jnp.ones((1, *operator.event))))
  # Of a mask A^+ A is 0 or 1; of what mixes pixels none is told alone.
  rest = np.asarray(held).ravel() < 0.5
  return rest if rest.any() else np.ones_like(rest)


def _error(a: np.ndarray, b: np.ndarray) -> Estimate:
  """Root mean square difference a pixel, with an interval over images."""
  squares = np.mean(np.square(a - b).reshape(len(a), -1), axis=1)
  return Estimate(*np.sqrt(np.maximum(of_mean(squares), 0)).tolist())


def _misfit(x: np.ndarray, operator: Operator, y: np.ndarray) -> float:
  """Root mean square of A x - y, over draws, images and what is measured."""
  seen = np.asarray(operator.apply(jnp.asarray(
      x.reshape(-1, *operator.event)))).reshape(*x.shape[:2], *y.shape[1:])
  return float(np.sqrt(np.mean(np.square(seen - y[:, None]))))


def _recognised(judge: Judge, x: np.ndarray, label: np.ndarray) -> Estimate:
  """Share of the draws that a classifier says are of the class of the truth.

  The interval is over images, as draws of one image are alike.
  """
  said = judge.said(x.reshape(-1, *x.shape[2:]))
  return of_mean((said.reshape(x.shape[:2]) == label[:, None]).mean(1))


def _draw(
    path: str, nearest: np.ndarray, truth: np.ndarray, x: np.ndarray, title: str
) -> None:
  """Writes the figure of a solver, of the first images."""
  nearest, truth, x = (np.asarray(a)[:_ROWS] for a in (nearest, truth, x))
  spread = x.std(1)
  most = max(float(spread.max()), 1e-6)
  drawn, mean = x[:, :_DRAWS], x.mean(1)
  nearest, truth, drawn, mean = (
      pipeline.to_uint8(np.clip(a, -1, 1))
      for a in (nearest, truth, drawn, mean))
  save_restorations(
      path, nearest, truth,
      Shown(drawn, mean, pipeline.to_uint8(2 * spread / most - 1)),
      f'{title}; white is a spread of {most:.2g} of pixels from -1 to 1')
