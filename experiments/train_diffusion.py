"""Trains a diffusion model on digits, a toy set, a folder or a tfds set.

  python -m experiments.train_diffusion --workdir=runs/digits
  python -m experiments.train_diffusion --preset=toy --workdir=runs/moons
  python -m experiments.train_diffusion --data=folder:/my/images \\
      --image_size=32 --minutes=30 --workdir=runs/mine

The same command again goes on where the run was stopped.
"""

import dataclasses
import os
from typing import Any, Mapping

from absl import flags as absl_flags
import jax

from experiments import app
from experiments import flags
from genjax.checks import check
from genjax.data import named
from genjax.reports import diffusion as report
from genjax.reports import recognition
from genjax.runs import diffusion_settings
from genjax.runs import recipe
from genjax.runs import workdir as workdirs
from genjax.runs.data import open_data
from genjax.runs.diffusion import TASK
from genjax.runs.fit import fit_run
from genjax.runs.fit import steps_within
from genjax.runs.fit import Stopped
from genjax.runs.open import weight_shapes
from genjax.runs.settings import check_settings


def define_flags() -> None:
  """The script's flags."""
  flags.define_run('Folder of the run; the same again goes on with it.')
  absl_flags.DEFINE_enum(
      'preset', None, [*TASK.recipes, 'auto'], 'Recipe; other flags override '
      'it. auto fits the size and number of images and the device; it is the '
      'default for a folder or an array of images, digits that for the rest.')
  absl_flags.DEFINE_float(
      'minutes', None, 'Time that training may take, compilation included: the '
      'steps are counted by the speed of the first few, once, and kept.',
      lower_bound=0.1, upper_bound=60 * 24 * 365)
  flags.define_settings(diffusion_settings.Settings)


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
) -> tuple[diffusion_settings.Settings, named.Data]:
  """Settings and data of a preset, with what is chosen over it.

  With `before`, the settings of a run that goes on, auto takes what it chose
  then, on whatever device that was. Without a preset it is that of the data.

  Raises:
    ValueError: settings out of range, or data that cannot be read.
  """
  settings = diffusion_settings.choose(
      'digits' if preset in (None, 'auto') else preset, chosen)
  check_settings(settings)
  data = open_data(settings)
  described, own = data.description, settings.data.startswith(
      ('folder:', 'npy:'))
  images = len(described.shape) == 3
  check(images or preset != 'auto', 'preset', 'must be another than auto for '
        'points', preset)
  if preset == 'auto' or (preset is None and own and images):
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
    print(f'preset auto: {recipe.described(settings)}')
  return settings, data


def train(
    settings: diffusion_settings.Settings, data: named.Data, workdir: str
) -> None:
  """Trains to the last step, with figures.

  Raises:
    ValueError: see `fit_run`.
    Stopped: a signal came; what there is is drawn.
  """
  try:
    fit_run(TASK, settings, data, workdir, hooks=report.hooks)
  except Stopped:
    report.save_training(workdir)
    raise
  report.save_training(workdir)
  recognition.keep_judge(settings, data, workdir, print)


def within(
    minutes: float, settings: diffusion_settings.Settings, data: named.Data
) -> diffusion_settings.Settings:
  """Settings of as many steps as a time holds; a tenth warm up at most.

  Checkpoints, whose samples take long, are four minutes apart or more.
  """
  steps = steps_within(TASK, settings, data.train, 60 * minutes)
  print(f'{steps} steps are to take {minutes:g} minutes')
  parts = max(1, min(8, int(minutes / 4)))
  return dataclasses.replace(
      settings, steps=steps, warmup=min(settings.warmup, steps // 10),
      save_every=min(settings.save_every, -(-steps // parts)))


def main() -> None:
  values = absl_flags.FLAGS
  chosen = flags.chosen(diffusion_settings.Settings)
  check(values.minutes is None or 'steps' not in chosen, 'minutes',
        'must be absent where --steps is given', values.minutes)
  before = begun(values.workdir)
  settings, data = resolve(values.preset, chosen, before)
  if values.minutes is not None:
    settings = within(values.minutes, settings, data) if before is None else (
        dataclasses.replace(settings, **{
            name: getattr(before, name)
            for name in ('steps', 'warmup', 'save_every')}))
  train(settings, data, values.workdir)
  print(f'finished: {values.workdir} holds '
        + ', '.join(sorted(os.listdir(values.workdir))))


if __name__ == '__main__':
  define_flags()
  app.run(main)
