"""What a trained VAE has learned: figures."""

import os
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from genjax import discriminative
from genjax import viz
from genjax.data import pipeline
from genjax.reports import curves
from genjax.reports.draws import told
from genjax.runs import keys
from genjax.runs.task import Run
from genjax.runs.vae_settings import inputs
from genjax.runs.vae_settings import num_classes
from genjax.runs.vae_settings import Settings
from genjax.types import Batch
from genjax.types import Key
from genjax.types import Source
from genjax.vae.distribution import code
from genjax.vae.distribution import draw
from genjax.vae.distribution import mean_of
from genjax.vae.model import VAE
from genjax.viz import latents
from genjax.viz.classifiers import Map
from genjax.viz.figures import plain

_CURVES = (
    curves.Curve('loss', 'loss', 'nats'),
    curves.Curve('reconstruction', 'reconstruction', 'nats'),
    curves.Curve('kl', 'KL', 'nats'),
    curves.Curve('active_units', 'active units', 'dimensions of the code',
                 low=0))
_RECONSTRUCTIONS = 16
_COLUMNS, _ROWS = 10, 5  # of samples; a class has one column or more
_CODES = 2000  # that are drawn
_ELLIPSES, _DRAWS = 30, 1000  # posteriors, and draws of each
_SIDE = 12  # of the decoded plane
_PRIOR = 10_000  # draws of which its quantiles are


def save_all(
    run: Run, vae: VAE, source: Source, codes: np.ndarray, label: np.ndarray,
    workdir: str
) -> None:
  """Writes every figure of a run to its folder of figures.

  Args:
    run: a run of a VAE.
    vae: its model.
    source: images that it is judged on.
    codes: theirs, without noise, [N, Z].
    label: of the codes, [N].
    workdir: of the run.
  """
  parts = jax.random.split(keys.key(run.settings.seed, 'figure'), 4)
  batch = next(pipeline.eval_batches(source, min(len(source), _ELLIPSES)))

  def at(name: str) -> str:
    return os.path.join(workdir, 'figures', f'{name}.png')

  _save_reconstructions(
      at('reconstructions'), parts[0], run, vae,
      jax.tree.map(lambda a: a[:_RECONSTRUCTIONS], batch))
  _save_samples(at('samples'), parts[1], run, vae)
  _save_latents(at('latent'), parts[2], run, vae, batch, codes[:_CODES],
                label[:_CODES])
  _save_plane(at('manifold'), parts[3], run, vae, codes)
  curves.draw(workdir, _CURVES)


def _save_reconstructions(
    path: str, key: Key, run: Run, vae: VAE, batch: Batch
) -> None:

  @jax.jit
  def decode(key, params, batch):
    key_inputs, key_z, key_x = jax.random.split(key, 3)
    given = inputs(run.settings, key_inputs, batch)
    label = given['cond'].get('label')
    q = vae.encode(params, given['x'], label)
    z = code(vae, params, given['x'], label)
    drawn = vae.posterior.dist.sample(key_z, q)
    return (mean_of(vae, vae.decode(params, z, label)),
            vae.likelihood.sample(key_x, vae.decode(params, drawn, label)))

  rows = batch['x'], *decode(key, run.params, batch)
  names = _shown(run.settings)
  captions = ([names[k] for k in batch['cond']['label']] if names
              else [''] * len(batch['x']))
  viz.save_filmstrips(path, {
      'images (top), means of their codes, draws with all noise (bottom)': (
          np.stack([pipeline.to_uint8(x) for x in rows], axis=1), captions)})


def _save_samples(path: str, key: Key, run: Run, vae: VAE) -> None:
  classes = num_classes(run.settings)
  names = _shown(run.settings) if classes else ['']
  class_ = np.repeat(np.arange(len(names)),
                     max(1, _COLUMNS // len(names)))[:_COLUMNS]
  label = jnp.repeat(class_, _ROWS) if classes else None
  num = len(class_) * _ROWS
  drawn = jax.jit(lambda key, params: draw(
      key, vae, params, num, label))(key, run.params)
  viz.save_filmstrips(path, {
      title: (pipeline.to_uint8(x).reshape(len(class_), _ROWS, *x.shape[1:]),
              [names[k] for k in class_])
      for title, x in (('samples from the prior: mean images', drawn.mean),
                       ('the same with observation noise', drawn.x))})


def _shown(settings: Settings) -> list[str]:
  return [plain(name) for name in settings.class_names]


def _plane_of(
    codes: np.ndarray
) -> tuple[np.ndarray, np.ndarray, tuple[str, str]]:
  """Origin [Z] and directions [2, Z] of the plane that codes are seen in."""
  num = codes.shape[1]
  if num <= 2:
    return np.zeros(num), np.eye(2, num), ('$z_1$', '$z_2$')
  found = discriminative.principal_components(jnp.asarray(codes))
  part = np.asarray(found.variances / found.variances.sum())
  right, up = (f'component {i + 1} of {num}: {part[i]:.0%} of the variance'
               for i in range(2))
  return np.asarray(found.mean), np.asarray(found.directions[:2]), (right, up)


def _save_latents(
    path: str, key: Key, run: Run, vae: VAE, batch: Batch, codes: np.ndarray,
    label: np.ndarray
) -> None:

  @jax.jit
  def draws_of(key, params, batch):
    key_inputs, key_z = jax.random.split(key)
    given = inputs(run.settings, key_inputs, batch)
    q = vae.encode(params, given['x'], given['cond'].get('label'))
    return vae.posterior.dist.sample(key_z, q, (_DRAWS,))

  origin, directions, names = _plane_of(codes)
  drawn = (np.asarray(draws_of(key, run.params, batch)) - origin) @ directions.T
  centre = drawn.mean(0)
  covariance = np.einsum('nbi,nbj->bij', drawn - centre,
                         drawn - centre) / (_DRAWS - 1)
  latents.save_latents(
      path, Map((codes - origin) @ directions.T, label, names),
      latents.Ellipses(centre, covariance,
                       batch['cond'].get('label', np.zeros(len(centre), int))),
      _shown(run.settings),
      'codes of images, and one standard deviation of some posteriors'
      + (',\ngiven the class: what is left is style'
         if num_classes(run.settings) else ''))


def _save_plane(
    path: str, key: Key, run: Run, vae: VAE, codes: np.ndarray
) -> None:
  """Decodes quantiles of the prior over the two dimensions of most use."""
  axes = np.sort(np.argsort(-codes.var(0))[:2])
  draws = np.asarray(jax.jit(lambda key, params: vae.prior.sample(
      key, vae.prior_params(params), (_PRIOR,)))(key, run.params))
  share = (np.arange(_SIDE) + 0.5) / _SIDE
  right, up = (np.quantile(draws[:, axis], share) for axis in axes[[0, -1]])
  z = np.broadcast_to(np.median(draws, 0), (_SIDE, _SIDE, vae.num_latents))
  z = z.astype(np.float32)
  z[..., axes[-1]] = up[::-1]
  z[..., axes[0]] = right[:, None]
  classes = num_classes(run.settings)
  kind = None if classes is None else classes // 2
  decode: Any = run.decode
  x = decode(z.reshape(_SIDE**2, -1),
             told(None if kind is None else np.full(_SIDE**2, kind)))
  title = f'decoded plane of codes: dimension {axes[0] + 1} to the right'
  if len(axes) > 1:
    title += f', {axes[1] + 1} up'
  if kind is not None:
    title += f'; class {_shown(run.settings)[kind]}'
  viz.save_filmstrips(path, {
      f'{title}; at quantiles of the prior': (
          pipeline.to_uint8(x).reshape(_SIDE, _SIDE, *x.shape[1:]),
          [f'{s:.0%}' for s in share])})
