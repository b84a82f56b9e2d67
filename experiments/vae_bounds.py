"""Bounds log p(x) of a trained VAE from below and from above.

  python -m experiments.vae_bounds --workdir=runs/vae

From below on held-out images: the ELBO, importance-weighted bounds of k codes
from the encoder, and annealed importance sampling (AIS) over T temperatures,
which starts at the prior. On images that the model drew itself, whose codes
are known, also from above by chains in reverse: the bounds around log p(x) say
how far below it the others are. Writes bounds.json and a figure to the
workdir, a run of train_vae.
"""

import functools
import os
from typing import Any, Callable, Mapping

from absl import flags
import jax
import jax.numpy as jnp
import numpy as np

from experiments import app
from experiments import common
from experiments import flag_numbers
from experiments import vae_run
from genjax.checks import check
from genjax.data import pipeline
from genjax.distributions.base import mean_of
from genjax.mcmc import sigmoid_betas
from genjax.numerics import log_mean_exp
from genjax.vae import annealing
from genjax.vae import objectives
from genjax.viz import figures
from genjax.viz.panels import Layer
from genjax.viz.panels import Panel
from genjax.viz.panels import save_panels

# Codes of an image in a bound: each divides the largest, of which all are made.
_IWAE = (5, 50, 1000)
_BLOCK = 8  # images of which that many codes are decoded at once

Row = dict[str, np.ndarray]  # name of a bound -> nats [B]


def define_flags() -> None:
  """The script's flags."""
  common.define_run_flags('of a run of train_vae')
  flags.DEFINE_integer('num_images', 100, 'held-out ones, and as many drawn '
                       'from the model; all their chains run at once',
                       lower_bound=2)
  flags.DEFINE_list('temperatures', ['10', '100', '1000'], 'of annealed '
                    'importance sampling')
  flags.DEFINE_integer('num_chains', 8, 'of each image', lower_bound=2)


def make_weighted(vae) -> Callable[..., Row]:
  """(key, params, x [B, ...], label) -> bounds by codes from the encoder."""

  @jax.jit
  def call(key, params, x, label):

    def of_one(row):
      x, label, index = row
      nats = objectives.log_weights(key, vae, params, x, label,
                                    num_samples=max(_IWAE), index=index)[:, 0]
      return jnp.mean(nats), *(
          jnp.mean(log_mean_exp(nats.reshape(k, -1))) for k in _IWAE)

    # Examples of one, as every row of a block is mapped.
    rows = jax.tree.map(lambda a: a[:, None], (x, label, jnp.arange(len(x))))
    return jax.lax.map(of_one, rows, batch_size=_BLOCK)

  names = ('ELBO', *(f'IWAE-{k}' for k in _IWAE))
  return lambda *args: dict(zip(names, jax.device_get(call(*args))))


def bound(
    key, vae, params, held_out, drawn, *, temperatures, num_chains
) -> tuple[Row, Row, dict[str, float]]:
  """Bounds of held-out images (x, label) and of drawn ones (x, z, label).

  Returns:
    The bounds of both, and the acceptance of each AIS's moves.
  """
  x, label = held_out
  own, z, own_label = drawn
  weighted, low, high = make_weighted(vae), *(
      jax.jit(functools.partial(f, vae=vae, num_chains=num_chains))
      for f in (annealing.annealed_log_likelihood,
                annealing.annealed_upper_bound))
  keys = iter(jax.random.split(key, 2 + 3 * len(temperatures)))
  rows = (weighted(next(keys), params, x, label),
          weighted(next(keys), params, own, own_label))
  accepted = {}
  for num in temperatures:
    fixed = {'params': params, 'betas': sigmoid_betas(num)}
    found = (low(next(keys), x=x, label=label, **fixed),
             low(next(keys), x=own, label=own_label, **fixed),
             high(next(keys), x=own, z=z, label=own_label, **fixed))
    for row, of, name, (nats, acceptance) in zip(
        (*rows, rows[1]), ('held_out', 'drawn', 'drawn'),
        ('AIS', 'AIS', 'reverse AIS'), found):
      row[f'{name}-{num}'] = np.asarray(nats.value)
      accepted[f'{of} {name}-{num}'] = float(jnp.mean(acceptance))
  most = f'AIS-{temperatures[-1]}'
  for row in rows:
    row[f'{most} less IWAE-{max(_IWAE)}'] = row[most] - row[
        f'IWAE-{max(_IWAE)}']
  rows[1][f'reverse {most} less {most}'] = (
      rows[1][f'reverse {most}'] - rows[1][most])
  return *rows, accepted


def table(results: Mapping[str, Mapping[str, Mapping[str, float]]]) -> str:
  """The means over images as lines of text, a row a bound."""
  columns = [results[name] for name in ('held_out', 'drawn')]
  lines = [f'{"nats an image":30}{"held-out":>18}{"drawn":>18}']
  for name in columns[1]:
    cells = (f'{c[name]["value"]:.3f} ± {c[name]["standard_error"]:.3f}'
             if name in c else '' for c in columns)
    lines.append(f'{name:30}' + ''.join(f'{cell:>18}' for cell in cells))
  return '\n'.join(lines)


def save_bounds(path: str, results: Mapping[str, Any]) -> None:
  """Writes the mean bounds over codes and over temperatures as a PNG."""
  panels = []
  for column, title in (('held_out', 'Held-out images'),
                        ('drawn', 'Images that the model drew')):
    layers = []
    for name, label, color in (
        ('IWAE', 'IWAE of k codes', figures.ORANGE),
        ('AIS', 'AIS over T temperatures', figures.BLUE),
        ('reverse AIS', 'reverse AIS, from above', figures.GREEN)):
      values = {int(key.rpartition('-')[2]): found['value']
                for key, found in results[column].items()
                if key.rpartition('-')[0] == name}
      if name == 'IWAE':
        values = {1: results[column]['ELBO']['value'], **values}
      if values:
        layers.append(Layer('marked', np.array([*values]),
                            np.array([*values.values()]), label, color))
    panels.append(Panel(title, 'k or T', 'mean log p(x), nats', layers,
                        log='x'))
  save_panels(path, [panels], height=3.6)


def main() -> None:
  temperatures = sorted(set(flag_numbers.counts(
      'temperatures', flags.FLAGS.temperatures, '10,100')))
  workdir, num = flags.FLAGS.workdir, flags.FLAGS.num_images
  vae, params, settings, step = vae_run.load_run(workdir)
  data = common.reopen_data(settings)
  if data.test is None or len(data.test) < 2:
    raise ValueError(f'workdir: {workdir!r} must be a run with two held-out '
                     'images or more (train_vae --held_out), got fewer')
  check(num <= len(data.test), 'num_images',
        f'must be at most the {len(data.test)} that are held out', num)
  key_inputs, key_draw, key = jax.random.split(
      common.root_key(flags.FLAGS.seed, 'held_out'), 3)
  batch = vae_run.inputs(settings, key_inputs, next(
      pipeline.eval_batches(data.test, num)))
  num_classes = settings['num_classes']
  label = None if num_classes is None else jnp.arange(num) % num_classes
  own = jax.jit(functools.partial(vae_run.draw, vae=vae, num=num))(
      key_draw, params=params, label=label)
  held_out, drawn, accepted = bound(
      key, vae, params, (batch['x'], batch['cond'].get('label')),
      (own.x, own.z, label), temperatures=temperatures,
      num_chains=flags.FLAGS.num_chains)
  results = {
      'step': step, 'num_images': num, 'num_chains': flags.FLAGS.num_chains,
      'of': 'density of dequantised pixels' if vae_run.is_density(settings)
            else 'mass of pixels', 'acceptance': accepted}
  for name, row in (('held_out', held_out), ('drawn', drawn)):
    results[name] = {key: {k: float(v) for k, v in
                           mean_of(jnp.asarray(nats))._asdict().items()}
                     for key, nats in row.items()}
  print(table(results))
  common.write_json(os.path.join(workdir, 'bounds.json'), results)
  save_bounds(os.path.join(workdir, 'figures', 'bounds.png'), results)


if __name__ == '__main__':
  define_flags()
  app.run(main)
