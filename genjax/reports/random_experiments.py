"""A random experiment, repeated; and which one was repeated.

The law of large numbers, the central limit theorem, and Bayes' rule (`guess`).
"""

import dataclasses
import os
from typing import Any, Mapping, NamedTuple, Sequence

import jax.numpy as jnp
import numpy as np

from genjax import distributions as d
from genjax.checks import check
from genjax.files import write_json
from genjax.metrics import central_limit
from genjax.metrics.central_limit import Lattice
from genjax.metrics.central_limit import Sum
from genjax.reports import guess
from genjax.reports import table as tables
from genjax.runs import fields
from genjax.runs import keys
from genjax.runs.settings import check_settings
from genjax.runs.settings import setting
from genjax.viz import figures
from genjax.viz.panels import Layer
from genjax.viz.panels import Panel
from genjax.viz.panels import save_panels

# name -> what may come out, and how probable it is.
EXPERIMENTS: Mapping[str, tuple[Sequence[int], Sequence[float]]] = {
    'coin': ((0, 1), (1 / 2, 1 / 2)),
    'die': (range(1, 7), (1 / 6,) * 6),
    'loaded_die': (range(1, 7), (0.1, 0.1, 0.1, 0.1, 0.1, 0.5)),
    'roulette': ((-1, 35), (36 / 37, 1 / 37)),
}
FIGURES = ('law_of_large_numbers', 'central_limit', 'guess')
RUNS = 1000

_RUNS_DRAWN = 8
_BAND = 1.96  # standard errors: 95 % of a Gaussian
_SUMS_DRAWN = (1, 4, 16, 64)


@dataclasses.dataclass(frozen=True)
class Settings:
  """Of an experiment that is repeated, and of tosses of an unknown one."""

  experiment: str | None = setting(
      None, choices=tuple(EXPERIMENTS), help='Experiment that is repeated; '
      'absent, a coin or that of --probabilities.')
  probabilities: tuple[float, ...] | None = setting(
      None, low=0.0, high=1.0, lengths=(1, 20),
      help='Probabilities of the outcomes 1, 2, 3 ... of an experiment of your '
      'own.')
  num_draws: int = setting(
      4096, low=_SUMS_DRAWN[-1], high=10_000, help='Number of draws in a run, '
      'and the most that are summed.')
  observations: str = setting(
      'HTTHH', lengths=(1, 1000), help='Heads and tails, in order, of an '
      'unknown experiment.')
  seed: int = fields.seed()


class Page(NamedTuple):
  """What a report is about."""

  name: str  # of the experiment
  law: Lattice
  tosses: np.ndarray  # int32 [N], 1 for heads


def open_page(settings: Settings) -> Page:
  """The experiment and the tosses of settings.

  Raises:
    ValueError: settings do not fit, by themselves or with each other.
  """
  check_settings(settings)
  tosses, p = guess.parse_tosses(settings.observations), settings.probabilities
  if p is None:
    name = settings.experiment or 'coin'
    return Page(name.replace('_', ' '),
                central_limit.make_lattice(*EXPERIMENTS[name]), tosses)
  check(settings.experiment is None, 'experiment',
        'must be absent where --probabilities are given', settings.experiment)
  return Page('your experiment',
              central_limit.make_lattice(range(1, len(p) + 1), p), tosses)


def running_means(law: Lattice, num_draws: int, seed: int) -> np.ndarray:
  """Means of the first 1 ... num_draws draws of every run, [RUNS, num_draws].
  """
  params = d.CategoricalParams(jnp.log(jnp.asarray(law.pmf, jnp.float32)))
  k = d.categorical.sample(keys.key(seed, 'sample'), params, (RUNS, num_draws))
  total = np.cumsum(np.asarray(k), axis=1, dtype=np.int64)
  return law.low + law.step * total / np.arange(1, num_draws + 1)


def compare(
    law: Lattice, sums: Mapping[int, Sum], means: np.ndarray
) -> tables.Table:
  """Means and sums of n draws, a row an n.

  Errors of running means [RUNS, N], the share of them within 1.96 standard
  errors, both beside the exact ones; and the distance of the standardised sum
  to the Gaussian, its bound and its limit.
  """
  rows = []
  for n, total in sums.items():
    error, exact = np.abs(means[:, n - 1] - law.mean), law.scale / n**0.5
    rows.append((n, float(np.sqrt(np.mean(error**2))), exact,
                 float(np.mean(error <= _BAND * exact)),
                 float(total.pmf[np.abs(total.z) <= _BAND].sum()),
                 central_limit.kolmogorov_distance(total),
                 central_limit.berry_esseen(law, n),
                 central_limit.esseen_limit(law, n)))
  return tables.make_table(
      ['draws', tables.Column('rms_error', 'rms error', '.4g'),
       tables.Column('exact_rms_error', 'sigma/sqrt(n)', '.4g'),
       tables.Column('share_in_band', 'in band', '.3f'),
       tables.Column('exact_share_in_band', 'exact', '.3f'),
       tables.Column('distance', digits='.4g'),
       tables.Column('berry_esseen_bound', 'bound'),
       tables.Column('esseen_limit', 'limit')], rows)


def _draw_large_numbers(
    path: str, page: Page, means: np.ndarray, columns: Mapping[str, Any]
) -> None:
  (name, law, _), n = page, np.arange(1, means.shape[1] + 1)
  reach = law.scale / np.sqrt(n)
  ends = np.stack([law.mean - _BAND * reach, law.mean + _BAND * reach])
  runs = [Layer('thin', n, run, color=shade)
          for run, shade in zip(means, figures.shades(_RUNS_DRAWN))]
  save_panels(path, [[
      Panel(f'{name}: running means of {_RUNS_DRAWN} runs', 'draws n',
            'mean of the first n', [
                Layer('band', n, ends,
                      'mean $\\pm$ 1.96 $\\sigma/\\sqrt{n}$'), *runs,
                Layer('dashed', n[[0, -1]], np.full(2, law.mean),
                      f'mean {law.mean:.4g}', 'black')],
            log='x', x_limits=(1, len(n)), y_limits=(
                law.mean - 2.2 * law.scale, law.mean + 2.2 * law.scale)),
      Panel(f'error of the mean over {RUNS} runs', 'draws n',
            'root mean square error', [
                Layer('line', n, reach, '$\\sigma/\\sqrt{n}$'),
                Layer('marks', columns['draws'], columns['rms_error'], 'runs',
                      figures.ORANGE)], log='xy')]], height=3.4)


def _draw_central_limit(
    path: str, page: Page, sums: Mapping[int, Sum],
    columns: Mapping[str, Any]
) -> None:
  z = np.linspace(-4, 4, 201)
  gaussian = np.exp(d.normal.log_prob(
      d.NormalParams(jnp.float32(0), jnp.float32(1)), jnp.asarray(z)))
  drawn = {n: Layer('bars', at, pmf / (at[1] - at[0]), 'sum')
           for n, (at, pmf) in sums.items() if n in _SUMS_DRAWN}
  top = 1.5 * max(np.max(np.asarray(bars.y)) for bars in drawn.values())
  shapes = [
      Panel(f'n = {n}', 'standardised sum', 'density', [
          bars, Layer('line', z, gaussian, 'Gaussian', figures.ORANGE)],
            x_limits=(-4, 4), y_limits=(0, top))
      for n, bars in drawn.items()]
  distance = Panel(
      f'{page.name}: distance of the sum of n draws to the Gaussian',
      'draws n', 'largest difference of cdfs', [
          Layer(kind, columns['draws'], columns[name], label, color)
          for kind, name, label, color in (
              ('dashed', 'berry_esseen_bound', 'Berry-Esseen bound, '
               f'${central_limit.BERRY_ESSEEN}\\,\\rho/\\sqrt{{n}}$',
               figures.GREY),
              ('line', 'esseen_limit', "Esseen's limit, slope $-1/2$",
               figures.ORANGE),
              ('marks', 'distance', 'exact', figures.BLUE))], log='xy')
  save_panels(path, [shapes, [distance]], height=2.8)


def report(settings: Settings, page: Page, workdir: str) -> list[tables.Table]:
  """Writes report.json and FIGURES; what `compare` and `guess` give."""
  sums = central_limit.sums(page.law, settings.num_draws)
  means = running_means(page.law, settings.num_draws, settings.seed)
  verdict = guess.guess(page.tosses)
  found = [compare(page.law, sums, means),
           *guess.describe(page.tosses, verdict)]
  columns = {column.name: np.array(cells) for column, cells in zip(
      found[0].columns, zip(*found[0].rows))}
  paths = [os.path.join(workdir, 'figures', f'{name}.png') for name in FIGURES]
  _draw_large_numbers(paths[0], page, means, columns)
  _draw_central_limit(paths[1], page, sums, columns)
  guess.draw(paths[2], settings.observations, page.tosses, verdict)
  write_json(os.path.join(workdir, 'report.json'), {
      'experiment': page.name, 'mean': page.law.mean,
      'standard_deviation': page.law.scale, 'runs': RUNS,
      **dict(zip(('sums', 'guess', 'coins'), map(tables.as_json, found)))})
  return found
