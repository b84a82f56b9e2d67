"""Flags of products of powers of runs, and draws from them."""

from typing import Any, Sequence

from absl import flags as absl_flags
import numpy as np

from experiments import drawing
from experiments import flags
from genjax.checks import check
from genjax.metrics.estimate import of_mean
from genjax.reports import draws
from genjax.runs import composition
from genjax.runs import keys
from genjax.runs.open import open_run
from genjax.runs.task import Run

_STEPS, _PARTICLES = 100, 64  # where no flag says otherwise
# Flags of `drawing` that a composition has no use for.
_FOREIGN = ('sampler', 'eta', 'churn', 'tau', 'weaker', 'weaker_step',
            'classifier')


def define_flags() -> None:
  """Flags of a composition."""
  absl_flags.DEFINE_string('compose', None, 'Folder of another diffusion run '
                           'of examples like these, under the same condition: '
                           'samples are of the product of both, by sequential '
                           'Monte Carlo, in 100 steps where --steps is absent.')
  absl_flags.DEFINE_list('exponents', None, 'Powers of the run and of that of '
                         '--compose in their product, with a comma between; 1,1'
                         ' where absent. One alone, such as 0.5, is of the run '
                         'without another: it is tempered.')
  absl_flags.DEFINE_integer('particles', None, 'Number of particles that '
                            f'--compose weighs for a sample; {_PARTICLES} '
                            'where absent.', 1, 10**5)


def is_asked() -> bool:
  """Whether a composition is to be drawn from.

  Raises:
    ValueError: --particles of none.
  """
  values = absl_flags.FLAGS
  asked = values.compose is not None or values.exponents is not None
  check(asked or values.particles is None, 'particles', 'must be absent '
        'without --compose or --exponents', values.particles)
  return asked


def opened() -> tuple[Run, dict[str, Any]]:
  """The run of --workdir with the grid of a composition; see `drawing.opened`.

  Raises:
    ValueError: see `open_run`; flags that mean nothing to a composition.
  """
  values = absl_flags.FLAGS
  drawing.check_absent([*_FOREIGN, *(
      name for name in drawing.given() if name.startswith('guidance'))],
                       'exponents' if values.compose is None else 'compose')
  run = open_run(values.workdir, values.weights, settings={
      'sampling_steps': _STEPS, **drawing.given()})
  return run, drawing.used(run, ['rho'])


def spread(log_z: np.ndarray, label: np.ndarray | None) -> float:
  """Standard deviation of log Z [N] over runs of one label [N]; NaN of none."""
  label = np.zeros(len(log_z)) if label is None else label
  groups = [log_z[label == one] for one in np.unique(label)]
  found = [np.var(group, ddof=1) for group in groups if len(group) > 1]
  return float(np.sqrt(np.mean(found))) if found else float('nan')


def _doubt(log_z: np.ndarray, label: np.ndarray | None) -> str:
  """What is to be said where runs differ so much that they tell little.

  Few particles make log Z too low on average, for it is the estimate of Z that
  has no bias; few steps may move it either way. How many particles are
  effective at the end does not tell, as they may just have been drawn anew.
  """
  nats = spread(log_z, label)
  return '' if not nats > 1 else (
      f'; but runs under one condition differ by {nats:.1f} nats: neither log '
      'Z nor the samples are to be relied on, see whether more --particles and '
      'more --steps change them')


def draw(
    run: Run, num: int, label: np.ndarray | None,
    vector: Sequence[float] | None
) -> tuple[np.ndarray, str, dict[str, Any]]:
  """Draws of the composition, see `draws.draw`.

  Returns:
    The draws [N, ...]; a line on the integral of the product; and what they
    depend on beside what `opened` said.

  Raises:
    ValueError: see `composition.make_composition`.
  """
  values = absl_flags.FLAGS
  others, told = [], {}
  if values.compose is not None:
    others.append(draws.opened('compose', values.compose, values.weights))
    told = {'compose': values.compose, 'compose_step': others[0].step}
  exponents = ([1.0] * 2 if values.exponents is None else flags.numbers(
      'exponents', values.exponents, len(others) + 1))
  particles = values.particles or _PARTICLES
  found = composition.make_composition(
      run, others, exponents, particles=particles)(
          keys.key(values.seed, 'sample'), num,
          draws.condition(num, label, vector))
  interval = ''
  if num > 1:
    _, low, high = of_mean(found.log_z)
    interval = f' (95 % interval {low:.4g} to {high:.4g})'
  said = (f'log Z {found.log_z.mean():.4g} nats{interval}, mean of {num} runs '
          f'of {particles} particles, of which {found.effective.mean():.1f} '
          f'are effective at the end{_doubt(found.log_z, label)}')
  return draws.as_data(run.settings, found.x), said, {
      **told, 'exponents': exponents, 'particles': particles}
