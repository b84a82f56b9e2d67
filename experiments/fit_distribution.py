"""Fits distributions to an unknown one, and compares them on held-out data.

  python -m experiments.fit_distribution --data=moons --workdir=runs/moons
  python -m experiments.fit_distribution --data=my.csv --model=mixture \
      --workdir=runs/mine

All models are fitted unless `--model` names one. The table, also in
metrics.json, holds the mean of -log p(x) over points that no model has seen,
of the continuous density in the data's own units: in nats, and in bits per
dimension, nats / (D ln 2). Both may be negative, and change with the units.
The figure draws each density over these points: figures/densities.png, or for
more than two dimensions draws from each, figures/samples.png. The same
command again goes on where training was stopped.
"""

import math
import os
from typing import Any, Callable, NamedTuple, Sequence

from absl import flags
import jax
import jax.numpy as jnp
import numpy as np

from experiments import app
from experiments import common
from experiments import density_models
from genjax.checks import check
from genjax.checks import check_choice
from genjax.data import sources
from genjax.data import toy
from genjax.distributions.base import Distribution
from genjax.distributions.base import mean_of
from genjax.distributions.nonparametric import kernel_density
from genjax.distributions.nonparametric import KernelDensityParams
from genjax.types import Params
from genjax.viz import densities
from genjax.viz.figures import plain

_POINTS = 8192  # of a toy set, to fit to and as many held out
_CURVE_POINTS = 2**15  # of a toy set without its noise, for its true density
_NOISE = {'moons': 0.06, 'rings': 0.05, 'spirals': 0.03, 'swiss_roll': 0.03}
# Where a toy set is uniform, and the area of it.
_UNIFORM = {
    'checkerboard': (lambda x: (np.abs(x).max(-1) <= 2)
                     & (np.floor(x).sum(-1) % 2 == 0), 8.0),
    'xor': (lambda x: np.all(np.abs(np.abs(x) - 1) <= 0.8 + 1e-6, -1), 10.24),
}
_HELD_OUT = 0.2  # share of a file
_FEWEST, _MOST_COLUMNS = 20, 16
_SAMPLES = 2000

# x float64 [M, D] in the data's own units -> nats [M].
LogDensity = Callable[[np.ndarray], np.ndarray]


class Data(NamedTuple):
  """Points to fit to and points to judge by, in the data's own units."""

  train: np.ndarray  # float64 [N, D]
  test: np.ndarray  # float64 [M, D]
  names: tuple[str, ...]  # of the D coordinates
  truth: LogDensity | None


class Row(NamedTuple):
  """A row of the table."""

  model: str
  nats: float  # mean of -log p over the held-out points
  standard_error: float  # of this mean
  bits_per_dim: float
  note: str


def define_flags() -> None:
  """The script's flags."""
  common.define_run_flags('where everything is written')
  flags.DEFINE_string(
      'data', 'moons', f'a toy set ({", ".join(sorted(toy.SETS))}), or a file '
      '.npy or .csv with a row a point, of which a fifth is held out')
  flags.DEFINE_enum('model', 'all', ['all', *density_models.MODELS],
                    'what to fit')
  flags.DEFINE_integer('steps', 2000, 'of the training of energy and flow',
                       lower_bound=1)


def open_data(spec: str, seed: int) -> Data:
  """Opens what `--data` names.

  Raises:
    ValueError: an unknown set, or a file that does not hold points.
    OSError: a file that cannot be read.
  """
  if not spec.endswith(('.npy', '.csv')):
    check_choice('data', 'it, if no file .npy or .csv,', spec, toy.SETS)
    train, held_out = (
        toy.toy_source(spec, _POINTS, 2 * seed + i).arrays['x'].astype(float)
        for i in range(2))
    return Data(train, held_out, ('$x_1$', '$x_2$'), true_density(spec))
  x, names = read_points(spec)
  # Rows may be sorted: the models, too, choose by the last of theirs.
  x = x[sources.permutation(len(x), seed, stream=3)]
  held_out, train = np.split(x, [round(_HELD_OUT * len(x))])
  check(bool(np.all(train.std(0) > 0)), 'data',
        f'every column of {spec!r} must vary', 'one value throughout')
  return Data(train, held_out, names, None)


def read_points(path: str) -> tuple[np.ndarray, tuple[str, ...]]:
  """Points float64 [N, D] of a .npy or .csv, and names of their coordinates.

  The first line of a .csv may hold the names.

  Raises:
    ValueError: anything but a table of 20 or more rows of finite numbers.
  """
  where = f'--data: {path!r}'
  names: tuple[str, ...] = ()
  try:
    if path.endswith('.npy'):
      x = np.load(path, allow_pickle=False)
    else:
      with open(path, encoding='utf8') as file:
        lines = [line.split(',') for line in file if line.strip()]
      if lines and not _are_numbers(lines[0]):
        names = tuple(plain(name.strip()) for name in lines[0])
        lines = lines[1:]
      x = np.array(lines, dtype=float)
    check(x.dtype.kind in 'biuf', where, 'must hold real numbers', x.dtype)
    x = np.asarray(x, dtype=float)
  except (ValueError, TypeError, EOFError) as error:
    raise ValueError(f'{where} must hold rows of numbers of one length, '
                     f'got {error}') from error
  x = x[:, None] if x.ndim == 1 else x
  check(x.ndim == 2 and len(x) >= _FEWEST and x.size > 0, where,
        f'must hold {_FEWEST} or more rows', f'shape {x.shape}')
  check(x.shape[1] <= _MOST_COLUMNS, where,
        f'must have at most {_MOST_COLUMNS} columns', x.shape[1])
  check(len(names) in (0, x.shape[1]), where,
        f'must name each of its {x.shape[1]} columns, or none', len(names))
  finite = np.isfinite(x).all(1)
  check(bool(finite.all()), where, 'must hold finite numbers',
        f'NaN or infinity in {np.sum(~finite)} of {len(x)} rows')
  return x, names or tuple(f'$x_{{{i}}}$' for i in range(1, x.shape[1] + 1))


def _are_numbers(words: list[str]) -> bool:
  try:
    return bool(np.array(words, dtype=float).size)
  except ValueError:
    return False


def true_density(name: str) -> LogDensity:
  """The density of a toy set: uniform on squares, or Gaussians around a curve.

  The curve is that of draws without noise: an average over so many Gaussians
  that its log is off by less than .002 nats in the mean.
  """
  if name in _UNIFORM:
    inside, area = _UNIFORM[name]
    return lambda x: np.where(inside(x), -math.log(area), -np.inf)
  if name == 'eight_gaussians':
    _, centres, scale = toy.eight_gaussians_mixture()
  else:
    scale = _NOISE[name]
    centres = toy.toy_source(name, _CURVE_POINTS, 0, noise=0.0).arrays['x']
  return _log_density(kernel_density, KernelDensityParams(
      jnp.asarray(centres, jnp.float32), jnp.float32(scale)))


def _log_density(
    dist: Distribution, params: Params, loc: Any = 0.0, scale: Any = 1.0
) -> LogDensity:
  """That of loc + scale z, where z has the distribution `dist`."""
  log_prob = jax.jit(dist.log_prob)

  def log_density(x):
    # In float64 up to here: the data may lie far from the origin.
    z = jnp.asarray((x - loc) / scale, jnp.float32)
    log_scale = np.sum(np.log(np.broadcast_to(scale, x.shape[-1:])))
    return np.asarray(log_prob(params, z)) - log_scale

  return log_density


def judge(
    model: str, log_density: LogDensity, held_out: np.ndarray, note: str
) -> Row:
  """Scores a log-density on held-out points [M, D]."""
  nats, error = mean_of(jnp.asarray(-log_density(held_out)))
  return Row(model, float(nats), float(error),
             float(nats) / (held_out.shape[1] * math.log(2)), note)


def table(rows: Sequence[Row]) -> str:
  """The rows as text."""
  lines = [f'{"model":<10} {"nats":>9} {"+/-":>7} {"bits/dim":>9}']
  lines += [f'{row.model:<10} {row.nats:9.4f} {row.standard_error:7.4f} '
            f'{row.bits_per_dim:9.4f}  {row.note}' for row in rows]
  return '\n'.join(lines)


def main() -> None:
  values = flags.FLAGS
  data = open_data(values.data, values.seed)
  num, dim = data.test.shape
  common.open_workdir(values.workdir, {
      'data': values.data, 'model': values.model, 'seed': values.seed,
      'steps': values.steps, 'num_train': len(data.train), 'num_held_out': num,
      'dimensions': dim}, free=('model',))

  loc, scale = data.train.mean(0), data.train.std(0)
  x = jnp.asarray((data.train - loc) / scale, jnp.float32)
  run = density_models.Run(values.seed, values.steps, values.workdir)
  models = density_models.MODELS
  chosen = models if values.model == 'all' else [values.model]
  rows, log_densities, samples = [], {}, {}
  if data.truth is not None:
    log_densities['truth'] = data.truth
    rows.append(judge('truth', data.truth, data.test, ''))
  for name in chosen:
    print(f'fitting {name}', flush=True)
    dist, params, note = models[name](run, x)
    log_densities[name] = _log_density(dist, params, loc, scale)
    rows.append(judge(name, log_densities[name], data.test, note))
    if dim > 2:
      key = jax.random.fold_in(common.root_key(values.seed, 'figure'),
                               list(models).index(name))
      z = jax.jit(dist.sample, static_argnums=2)(key, params, (_SAMPLES,))
      samples[name] = loc + scale * np.asarray(z)

  common.write_json(os.path.join(values.workdir, 'metrics.json'),
                    [_finite(row._asdict()) for row in rows])
  titles = {row.model: f'{row.model}: {row.nats:.3f} nats' for row in rows}
  if dim > 2:
    path = os.path.join(values.workdir, 'figures', 'samples.png')
    densities.save_samples(
        path, data.test,
        [('held-out data', np.empty((0, dim))),
         *((titles[name], draws) for name, draws in samples.items())],
        data.names)
  else:
    path = os.path.join(values.workdir, 'figures', 'densities.png')
    densities.save_densities(
        path, data.test,
        [densities.DensityPanel('held-out data', None),
         *(densities.DensityPanel(titles[name], log_density)
           for name, log_density in log_densities.items())], data.names)
  print(f"""
-log p(x) of {num} held-out points of {values.data}, mean and standard error;
bits/dim = nats / ({dim} ln 2) of the density in the data's own units

{table(rows)}

wrote {path}, {os.path.join(values.workdir, 'metrics.json')}""")


def _finite(row: dict[str, Any]) -> dict[str, Any]:
  """JSON has no infinities: null stands for what is not finite."""
  return {name: None if isinstance(value, float) and not math.isfinite(value)
          else value for name, value in row.items()}


if __name__ == '__main__':
  define_flags()
  app.run(main)
