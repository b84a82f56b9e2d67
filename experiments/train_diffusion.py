"""Trains a diffusion model on digits, a toy set, a folder or a tfds set.

  python -m experiments.train_diffusion --workdir=runs/digits
  python -m experiments.train_diffusion --preset=toy --workdir=runs/moons
  python -m experiments.train_diffusion --data=folder:/my/images \\
      --image_size=32 --workdir=runs/mine

The same command again goes on where the run was stopped.
"""

import dataclasses
from typing import Any, Mapping

from absl import flags as absl_flags

from experiments import app
from experiments import flags
from genjax.data import named
from genjax.reports import diffusion as report
from genjax.runs import diffusion_settings
from genjax.runs.data import open_data
from genjax.runs.diffusion import TASK
from genjax.runs.fit import fit_run
from genjax.runs.fit import Stopped
from genjax.runs.settings import check_settings


def define_flags() -> None:
  """The script's flags."""
  flags.define_run('Folder of the run; the same again goes on with it.')
  absl_flags.DEFINE_enum('preset', 'digits', list(TASK.recipes), 'Recipe; '
                         'other flags override it.')
  flags.define_settings(diffusion_settings.Settings)


def resolve(
    preset: str, chosen: Mapping[str, Any]
) -> tuple[diffusion_settings.Settings, named.Data]:
  """Settings and data of a preset, with what is chosen over it.

  Raises:
    ValueError: settings out of range, or data that cannot be read.
  """
  settings = diffusion_settings.choose(preset, chosen)
  check_settings(settings)
  data = open_data(settings)
  settings = diffusion_settings.with_facts(settings, data)
  # The recipe's guidance is the difference that a condition makes.
  if not diffusion_settings.is_told(settings) and 'guidance' not in chosen:
    settings = dataclasses.replace(settings, guidance=1.0)
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


def main() -> None:
  values = absl_flags.FLAGS
  chosen = flags.chosen(diffusion_settings.Settings)
  train(*resolve(values.preset, chosen), values.workdir)
  print(f'finished: {values.workdir} holds checkpoints, metrics.jsonl, '
        'tensorboard, figures')


if __name__ == '__main__':
  define_flags()
  app.run(main)
