"""Repeats a random experiment, and guesses which one was repeated.

  python -m experiments.random_experiments --workdir=runs/coin
  python -m experiments.random_experiments --experiment=die --workdir=runs/die
  python -m experiments.random_experiments --probabilities=0.2,0.3,0.5 \
      --observations=HTTHH --workdir=runs/mine

Law of large numbers: running means of several runs close in on the mean, as
1 / sqrt(n). Central limit theorem: the sum of n draws, standardised, turns into
a Gaussian, at a distance computed exactly and drawn under its bound. Bayes'
rule: the posterior over the experiments that may have given a string of heads
and tails. Figures in figures/, the numbers in metrics.json.
"""

import dataclasses
import math
import os
from typing import Mapping, NamedTuple, Sequence

from absl import flags
import jax.numpy as jnp
import numpy as np
from scipy import special

from experiments import app
from experiments import flags as shared
from experiments import guess_experiment
from genjax.checks import check
from genjax.distributions.continuous import normal
from genjax.distributions.continuous import NormalParams
from genjax.distributions.discrete import categorical
from genjax.distributions.discrete import CategoricalParams
from genjax.runs import fields
from genjax.runs import keys
from genjax.runs.settings import check_settings
from genjax.runs.settings import setting
from genjax.runs.workdir import create_or_check
from genjax.runs.workdir import write_json
from genjax.viz import figures
from genjax.viz import panels

# name -> what may come out, and how probable it is.
EXPERIMENTS: Mapping[str, tuple[Sequence[int], Sequence[float]]] = {
    'coin': ((0, 1), (1 / 2, 1 / 2)),
    'die': (range(1, 7), (1 / 6,) * 6),
    'loaded_die': (range(1, 7), (0.1, 0.1, 0.1, 0.1, 0.1, 0.5)),
    'roulette': ((-1, 35), (36 / 37, 1 / 37)),
}

_RUNS, _RUNS_DRAWN = 1000, 8
_BAND = 1.96  # standard errors: 95 % of a Gaussian
_FIRST, _MOST_DRAWS = 64, 10_000
_MOST_OUTCOMES = 20
# arXiv:1111.6554: the distance is at most this rho / (sigma^3 sqrt(n)).
_BERRY_ESSEEN = 0.4748


class Experiment(NamedTuple):
  """A number drawn at random: low + step k with probability pmf[k]."""

  low: int
  step: int
  pmf: np.ndarray  # float64 [K]; the first and the last are positive
  mean: float
  scale: float  # standard deviation
  skewness: float
  third: float  # E |x - mean|^3 / scale^3


@dataclasses.dataclass(frozen=True)
class Settings:
  """Of an experiment that is repeated, and of tosses of an unknown one."""

  experiment: str | None = setting(
      None, choices=tuple(EXPERIMENTS), help='Experiment that is repeated; '
      'absent, a coin or that of --probabilities.')
  probabilities: tuple[float, ...] | None = setting(
      None, low=0.0, high=1.0, lengths=(1, _MOST_OUTCOMES),
      help='Probabilities of the outcomes 1, 2, 3 ... of an experiment of your '
      'own.')
  num_draws: int = setting(
      4096, low=_FIRST, high=_MOST_DRAWS, help='Number of draws in a run, and '
      'the most that are summed.')
  observations: str = setting('HTTHH', help='Heads and tails, in order, of an '
                              'unknown experiment.')
  seed: int = fields.seed()


def define_flags() -> None:
  """The script's flags."""
  shared.define_run('Folder where everything is written.')
  shared.define_settings(Settings)


def make_experiment(
    values: Sequence[int], probabilities: Sequence[float]
) -> Experiment:
  """An experiment by its outcomes, increasing, and their probabilities.

  Raises:
    ValueError: these are no probabilities, or there is nothing random.
  """
  where, p = 'probabilities', np.asarray(probabilities, np.float64)
  check(len(p) <= _MOST_OUTCOMES, where,
        f'must be at most {_MOST_OUTCOMES} numbers', len(p))
  for probability in p:
    check(0 <= probability <= 1, where, 'each must be in [0, 1]', probability)
  check(abs(p.sum() - 1) < 1e-6, where, 'must sum to 1', f'{p.sum():g}')
  possible = np.asarray(values)[p > 0]
  check(len(possible) > 1, where, 'two or more must be positive',
        f'{len(possible)}')
  step = int(np.gcd.reduce(np.diff(possible)))
  pmf = np.zeros((possible[-1] - possible[0]) // step + 1)
  pmf[(possible - possible[0]) // step] = p[p > 0] / p.sum()
  x = possible[0] + step * np.arange(len(pmf))
  mean = pmf @ x
  scale = math.sqrt(pmf @ (x - mean)**2)
  z = (x - mean) / scale
  return Experiment(int(possible[0]), step, pmf, float(mean), scale,
                    float(pmf @ z**3), float(pmf @ np.abs(z)**3))


def sums(experiment: Experiment, most: int) -> dict[int, np.ndarray]:
  """n -> pmf of the sum of n draws, for n = 1, 2, 4, 8 ... up to `most`.

  In steps from n `low`; by convolution of each with itself, where nothing
  cancels: exact to rounding.
  """
  n, pmf = 1, experiment.pmf
  found = {n: pmf}
  while 2 * n <= most:
    n, pmf = 2 * n, np.convolve(pmf, pmf)
    found[n] = pmf
  return found


def standardised(experiment: Experiment, n: int, pmf: np.ndarray) -> np.ndarray:
  """(sum of n draws - n mean) / (scale sqrt(n)), of each entry of its pmf."""
  total = n * experiment.low + experiment.step * np.arange(len(pmf))
  return (total - n * experiment.mean) / (experiment.scale * math.sqrt(n))


def kolmogorov_distance(
    experiment: Experiment, n: int, pmf: np.ndarray
) -> float:
  """Largest difference of the standardised sum's cdf to the Gaussian's.

  Both ends of every jump are looked at, so it is exact.
  """
  at_most = np.cumsum(pmf)
  gaussian = special.ndtr(standardised(experiment, n, pmf))
  return float(max(np.max(np.abs(at_most - gaussian)),
                   np.max(np.abs(at_most - pmf - gaussian))))


def berry_esseen(experiment: Experiment, n: int) -> float:
  """The distance is at most this: arXiv:1111.6554."""
  return _BERRY_ESSEEN * experiment.third / math.sqrt(n)


def esseen_limit(experiment: Experiment, n: int) -> float:
  """The distance approaches this: Esseen (1956), skewness and jumps.

  (|skewness| + 3 step / scale) / (6 sqrt(2 pi n)).
  """
  return ((abs(experiment.skewness) + 3 * experiment.step / experiment.scale)
          / (6 * math.sqrt(2 * math.pi * n)))


def running_means(
    experiment: Experiment, num_draws: int, seed: int
) -> np.ndarray:
  """Means of the first 1 ... num_draws draws of every run, [runs, draws]."""
  params = CategoricalParams(jnp.log(jnp.asarray(experiment.pmf, jnp.float32)))
  k = categorical.sample(keys.key(seed, 'sample'), params,
                         (_RUNS, num_draws))
  total = np.cumsum(np.asarray(k), axis=1, dtype=np.int64)
  return (experiment.low
          + experiment.step * total / np.arange(1, num_draws + 1))


def law_of_large_numbers(
    experiment: Experiment, found: Mapping[int, np.ndarray], means: np.ndarray
) -> list[dict[str, float]]:
  """Running means [runs, draws] against the law of the sums, a row an n."""
  rows = []
  for n, pmf in found.items():
    error = means[:, n - 1] - experiment.mean
    standard_error = experiment.scale / math.sqrt(n)
    inside = np.abs(standardised(experiment, n, pmf)) <= _BAND
    rows.append({
        'draws': n,
        'rms_error': float(np.sqrt(np.mean(error**2))),
        'exact_rms_error': standard_error,
        'share_in_band': float(np.mean(np.abs(error)
                                       <= _BAND * standard_error)),
        'exact_share_in_band': float(pmf[inside].sum())})
  return rows


def central_limit(
    experiment: Experiment, found: Mapping[int, np.ndarray]
) -> list[dict[str, float]]:
  """Distance of the standardised sum to the Gaussian, a row an n."""
  return [{'draws': n,
           'distance': kolmogorov_distance(experiment, n, pmf),
           'berry_esseen_bound': berry_esseen(experiment, n),
           'esseen_limit': esseen_limit(experiment, n)}
          for n, pmf in found.items()]


def _draw_large_numbers(path, name, experiment, means, rows):
  n = np.arange(1, means.shape[1] + 1)
  reach = experiment.scale / np.sqrt(n)
  mean, half = experiment.mean, _BAND * reach
  runs = [panels.Layer('thin', n, run, color=shade)
          for run, shade in zip(means, figures.shades(_RUNS_DRAWN))]
  draws, rms = (np.array([row[key] for row in rows])
                for key in ('draws', 'rms_error'))
  panels.save_panels(path, [[
      panels.Panel(
          f'{name}: running means of {_RUNS_DRAWN} runs', 'draws n',
          'mean of the first n', [
              panels.Layer('band', n, np.stack([mean - half, mean + half]),
                           'mean $\\pm$ 1.96 $\\sigma/\\sqrt{n}$'),
              *runs,
              panels.Layer('dashed', n[[0, -1]], np.full(2, mean),
                           f'mean {mean:.4g}', 'black')],
          log='x', x_limits=(1, len(n)),
          y_limits=(mean - 2.2 * experiment.scale,
                    mean + 2.2 * experiment.scale)),
      panels.Panel(
          f'error of the mean over {_RUNS} runs', 'draws n',
          'root mean square error', [
              panels.Layer('line', n, reach, '$\\sigma/\\sqrt{n}$'),
              panels.Layer('marks', draws, rms, 'runs', figures.ORANGE)],
          log='xy')]], height=3.4)


def _draw_central_limit(path, name, experiment, found, rows):
  z = np.linspace(-4, 4, 201)
  drawn = {n: standardised(experiment, n, found[n])
           for n in (1, 4, 16, _FIRST)}
  heights = {n: found[n] / (at[1] - at[0]) for n, at in drawn.items()}
  top = 1.5 * max(np.max(height) for height in heights.values())
  gaussian = np.exp(normal.log_prob(
      NormalParams(jnp.float32(0), jnp.float32(1)), jnp.asarray(z)))
  shapes = [
      panels.Panel(f'n = {n}', 'standardised sum', 'density', [
          panels.Layer('bars', at, heights[n], 'sum'),
          panels.Layer('line', z, gaussian, 'Gaussian', figures.ORANGE)],
          x_limits=(-4, 4), y_limits=(0, top))
      for n, at in drawn.items()]
  draws = np.array([row['draws'] for row in rows])
  lines = [('dashed', 'berry_esseen_bound',
            'Berry-Esseen bound, $0.4748\\,\\rho/\\sqrt{n}$', figures.GREY),
           ('line', 'esseen_limit', "Esseen's limit, slope $-1/2$",
            figures.ORANGE),
           ('marks', 'distance', 'exact', figures.BLUE)]
  distance = panels.Panel(
      f'{name}: distance of the sum of n draws to the Gaussian', 'draws n',
      'largest difference of cdfs',
      [panels.Layer(kind, draws, np.array([row[key] for row in rows]), label,
                    color)
       for kind, key, label, color in lines], log='xy')
  panels.save_panels(path, [shapes, [distance]], height=2.8)


def _chosen(settings: Settings) -> tuple[str, Experiment]:
  """The experiment that settings name."""
  p = settings.probabilities
  if p is None:
    name = settings.experiment or 'coin'
    return name.replace('_', ' '), make_experiment(*EXPERIMENTS[name])
  check(settings.experiment is None, 'experiment',
        'must be absent where --probabilities are given', settings.experiment)
  return 'your experiment', make_experiment(range(1, len(p) + 1), p)


def main() -> None:
  values, settings = flags.FLAGS, Settings(**shared.chosen(Settings))
  check_settings(settings)
  name, experiment = _chosen(settings)
  x = guess_experiment.parse_tosses(settings.observations)
  create_or_check(values.workdir, 'random_experiments', settings)
  folder = os.path.join(values.workdir, 'figures')
  paths = [os.path.join(folder, f'{figure}.png') for figure in (
      'law_of_large_numbers', 'central_limit', 'guess')]

  found = sums(experiment, settings.num_draws)
  means = running_means(experiment, settings.num_draws, settings.seed)
  large_numbers = law_of_large_numbers(experiment, found, means)
  limit = central_limit(experiment, found)
  verdict = guess_experiment.guess(x)
  rows = guess_experiment.describe(x, verdict)
  _draw_large_numbers(paths[0], name, experiment, means, large_numbers)
  _draw_central_limit(paths[1], name, experiment, found, limit)
  guess_experiment.draw(paths[2], settings.observations, x, verdict)
  write_json(os.path.join(values.workdir, 'metrics.json'), {
      'experiment': name, 'mean': experiment.mean,
      'standard_deviation': experiment.scale, 'runs': _RUNS,
      'law_of_large_numbers': large_numbers, 'central_limit': limit,
      'guess': rows})

  print(f'{name}: mean {experiment.mean:.6g}, standard deviation '
        f'{experiment.scale:.6g}')
  print(f"""
{'draws':>6} {'rms error':>10} {'sigma/sqrt(n)':>13} {'in band':>8} \
{'exact':>7} {'distance':>9} {'bound':>8}""")
  for row, distance in zip(large_numbers, limit):
    print(f'{row["draws"]:6} {row["rms_error"]:10.4g} '
          f'{row["exact_rms_error"]:13.4g} {row["share_in_band"]:8.3f} '
          f'{row["exact_share_in_band"]:7.3f} {distance["distance"]:9.4g} '
          f'{distance["berry_esseen_bound"]:8.3g}')
  print(f"""
rms error of the mean and share of {_RUNS} runs within 1.96 sigma/sqrt(n) of
it; distance of the standardised sum to the Gaussian, Kolmogorov's, exact

{len(x)} tosses, {x.sum()} heads: which experiment?
{guess_experiment.table(rows)}

wrote {', '.join(paths)}""")


if __name__ == '__main__':
  define_flags()
  app.run(main)
