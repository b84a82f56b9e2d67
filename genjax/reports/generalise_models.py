"""Diffusion models of a few images, for `generalise`: trained, and exact."""

import dataclasses
from typing import Callable, Protocol

import jax.numpy as jnp
import numpy as np

from genjax.data import named
from genjax.data import pipeline
from genjax.diffusion import exact
from genjax.runs import diffusion_settings
from genjax.runs.diffusion import TASK
from genjax.runs.diffusion_functions import make_draw
from genjax.runs.fit import fit_run
from genjax.runs.open import open_run
from genjax.runs.task import Sample
from genjax.types import Source

_BLOCK = 50  # samples at a time


class Make(Protocol):
  """(images, folder of the model, seed) -> what draws from a model of them."""

  def __call__(self, source: Source, folder: str, seed: int) -> Sample:
    ...


def trainer(
    recipe: diffusion_settings.Settings, say: Callable[[str], None]
) -> Make:
  """Trains models, each a run, and goes on where one was stopped.

  Args:
    recipe: of the models.
    say: is told which is trained, in a line.
  """

  def make(source, folder, seed):
    say(f'training on {len(source)} images: {folder}')
    fit_run(TASK, dataclasses.replace(
        recipe, seed=seed, num_examples=len(source)),
            named.Data(source, None), folder)
    return open_run(folder).sample

  return make


def copier(recipe: diffusion_settings.Settings) -> Make:
  """Models that copy: each denoiser is the exact one of a finite set.

  It is what a network of unlimited capacity becomes, see `exact`. They draw by
  the method of the recipe, without guidance, of the images of the class that
  they are told.
  """
  recipe = dataclasses.replace(recipe, guidance=1.0)
  process = TASK.build(recipe).parts.process
  draw = make_draw(
      recipe, lambda points, cond=None: exact.finite_dataset(
          process, points).denoiser, lambda points: process)

  def make(source, folder, seed):
    del folder, seed  # nothing is kept, nor drawn but the noise
    batch = pipeline.full_batch(source)

    def sample(key, shape=(), cond=None):
      x = np.empty((*shape, *recipe.shape), np.float32)
      if cond is None:
        own, asked = np.zeros(len(batch['x'])), np.zeros(len(x))
      else:
        own, asked = batch['cond']['label'], np.asarray(cond['label'])
      for label in np.unique(asked):
        points = jnp.asarray(batch['x'][own == label])
        rows = np.flatnonzero(asked == label)
        for some in np.split(rows, range(_BLOCK, len(rows), _BLOCK)):
          x[some] = draw.last(points, key, jnp.asarray(some))
      return x

    return sample

  return make
