"""Bounds of log p(x) of a trained VAE, from below and from above.

From below on test images: the ELBO, importance-weighted bounds of k codes from
the encoder, and annealed importance sampling (AIS) over T temperatures, which
starts at the prior. On images that the model drew itself, whose codes are
known, also from above by chains in reverse: the bounds around log p(x) say how
far below it the others are.
"""

import functools
import os
from typing import Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from genjax.checks import check
from genjax.data import named
from genjax.data import pipeline
from genjax.files import write_json
from genjax.metrics.estimate import Estimate
from genjax.metrics.estimate import of_mean
from genjax.reports.table import Column
from genjax.reports.table import make_table
from genjax.reports.table import records
from genjax.reports.table import Table
from genjax.runs import keys
from genjax.runs.task import Run
from genjax.runs.vae_settings import inputs
from genjax.runs.vae_settings import is_density
from genjax.runs.vae_settings import num_classes
from genjax.vae import bounds
from genjax.vae.distribution import draw
from genjax.viz import figures
from genjax.viz.panels import Layer
from genjax.viz.panels import Panel
from genjax.viz.panels import save_panels

Means = Mapping[str, Mapping[str, Estimate]]  # of images, of a bound


def save_bounds(path: str, means: Means) -> None:
  """Writes the mean bounds over codes and over temperatures as a PNG."""
  panels = []
  for column, title in (('test', 'Test images'),
                        ('drawn', 'Images that the model drew')):
    layers = []
    for name, label, color in (
        ('IWAE', 'IWAE of k codes', figures.ORANGE),
        ('AIS', 'AIS over T temperatures', figures.BLUE),
        ('reverse AIS', 'reverse AIS, from above', figures.GREEN)):
      values = {int(key.rpartition('-')[2]): found.value
                for key, found in means[column].items()
                if key.rpartition('-')[0] == name}
      if name == 'IWAE':
        values = {1: means[column]['ELBO'].value, **values}
      if values:
        layers.append(Layer('marked', np.array([*values]),
                            np.array([*values.values()]), label, color))
    panels.append(Panel(title, 'k or T', 'mean log p(x), nats', layers,
                        log='x'))
  save_panels(path, [panels], height=3.6)


def report(
    run: Run, data: named.Data, workdir: str, *, num_images: int,
    temperatures: Sequence[int], num_chains: int, seed: int = 0
) -> Table:
  """Writes report.json and a figure; returns a table of mean bounds.

  Args:
    run: of a VAE, as opened.
    data: what it was trained on.
    workdir: where report.json and bounds.png are written.
    num_images: of the test data, and as many drawn from the model; all their
      chains run at once.
    temperatures: of annealed importance sampling, rising.
    num_chains: of each image.
    seed: of everything that is drawn.

  Raises:
    ValueError: the run is of another kind, or has fewer test images.
  """
  check(run.task.kind == 'vae', 'workdir', 'must hold a run of kind vae',
        run.task.kind)
  source = data.train if data.test is None else data.test
  most = 0 if data.test is None else len(source)
  check(most >= 2, 'workdir',
        'must be of a run with two test images or more (train_vae --held_out)',
        most)
  check(2 <= num_images <= most, 'num_images',
        f'must be in [2, {most}], the number of test images', num_images)
  settings, vae = run.settings, run.task.build(run.settings).parts
  key_inputs, key_draw, key = jax.random.split(keys.key(seed, 'test'), 3)
  batch = inputs(settings, key_inputs, next(
      pipeline.eval_batches(source, num_images)))
  classes = num_classes(settings)
  label = None if classes is None else jnp.arange(num_images) % classes
  own = jax.jit(functools.partial(draw, vae=vae, num=num_images))(
      key_draw, params=run.params, label=label)
  test, drawn, accepted = bounds.bound(
      key, vae, run.params, (batch['x'], batch['cond'].get('label')),
      (own.x, own.z, label), temperatures=temperatures, num_chains=num_chains)
  means = {name: {of: of_mean(nats) for of, nats in row.items()}
           for name, row in (('test', test), ('drawn', drawn))}
  table = make_table(
      ['bound', Column('test', 'nats an image, test', '.3f'),
       Column('drawn', digits='.3f')],
      [(of, means['test'].get(of), mean)
       for of, mean in means['drawn'].items()])
  os.makedirs(workdir, exist_ok=True)
  write_json(os.path.join(workdir, 'report.json'), {
      'step': run.step, 'num_images': num_images, 'num_chains': num_chains,
      'of': 'density of dequantised pixels' if is_density(settings) else
            'mass of pixels', 'acceptance': accepted, 'bounds': records(table)})
  save_bounds(os.path.join(workdir, 'bounds.png'), means)
  return table
