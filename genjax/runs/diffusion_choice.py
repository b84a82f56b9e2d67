"""The settings of a diffusion run: by preset, data, time, and the run there."""

import dataclasses
import os
from typing import Any, Mapping

import jax

from genjax.checks import check
from genjax.data import named
from genjax.runs import diffusion_settings
from genjax.runs import recipe
from genjax.runs import workdir as workdirs
from genjax.runs.data import open_data
from genjax.runs.diffusion import TASK
from genjax.runs.measure import Cost
from genjax.runs.measure import steps_within
from genjax.runs.open import weight_shapes
from genjax.runs.settings import check_settings


def begun(workdir: str) -> diffusion_settings.Settings | None:
  """The settings of the run in a folder, if there is one."""
  if not os.path.exists(os.path.join(workdir, workdirs.SETTINGS)):
    return None
  written = workdirs.read(workdir)
  return (workdirs.settings_of(written, diffusion_settings.Settings)
          if written.kind == TASK.kind else None)  # see `fit_run`


def resolve(
    preset: str | None, chosen: Mapping[str, Any],
    before: diffusion_settings.Settings | None = None
) -> tuple[diffusion_settings.Settings, named.Data, str]:
  """Settings and data of a preset, with what is chosen over it.

  With `before`, the settings of a run that goes on, auto takes what it chose
  then, on whatever device that was.

  Returns:
    Settings, data, and the name of the preset: without one it is that which
    goes with the data.

  Raises:
    ValueError: settings out of range, or data that cannot be read.
  """
  settings = diffusion_settings.choose(
      'digits' if preset in (None, 'auto') else preset,
      {'bits': None if before is None else before.bits, **chosen})
  check_settings(settings)
  data = open_data(settings)
  described, own = data.description, settings.data.startswith(
      ('folder:', 'npy:'))
  flat = len(described.shape) == 1
  check(not flat or preset != 'auto', 'preset', 'must be another than auto for '
        'points', preset)
  if preset == 'auto' or (preset is None and own and not flat):
    settings = diffusion_settings.choose(
        dataclasses.asdict(before) if before else recipe.choose(
            described.shape, described.size, chosen=chosen,
            accelerator=jax.default_backend() != 'cpu'), chosen)
    check_settings(settings)
    preset = 'auto'
  settings = diffusion_settings.with_facts(settings, data)
  # The recipe's guidance is the difference that a condition makes.
  if not diffusion_settings.is_told(settings) and 'guidance' not in chosen:
    settings = dataclasses.replace(settings, guidance=1.0)
  if preset == 'auto':
    weight_shapes(settings, TASK.build(settings))  # refuses what does not fit
  return settings, data, preset or 'digits'


def within(
    minutes: float, settings: diffusion_settings.Settings, cost: Cost,
    chosen: Mapping[str, Any]
) -> diffusion_settings.Settings:
  """Settings of as many steps as a time holds; a tenth warm up at most.

  Unless they are chosen, checkpoints, whose samples take long, are four minutes
  apart or more.

  Raises:
    ValueError: see `steps_within`.
  """
  count = settings.steps_per_call
  steps = max(steps_within(cost, 60 * minutes) // count, 1) * count
  parts = max(1, min(8, int(minutes / 4), steps // recipe.spacing(
      settings.batch_size, settings.num_examples, settings.scored)))
  every = -(-steps // (parts * count)) * count
  return dataclasses.replace(
      settings, steps=steps, warmup=min(settings.warmup, steps // 10),
      save_every=min(steps, chosen.get('save_every', every)))


def same_steps(
    settings: diffusion_settings.Settings, before: diffusion_settings.Settings
) -> diffusion_settings.Settings:
  """Settings with the steps that `within` found when the run began."""
  return dataclasses.replace(settings, **{
      name: getattr(before, name) for name in ('steps', 'warmup', 'save_every')
  })
