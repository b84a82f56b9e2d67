"""Trains a diffusion model on digits, a toy set, a folder or a tfds set.

  python -m experiments.train_diffusion --workdir=runs/digits
  python -m experiments.train_diffusion --preset=toy --workdir=runs/moons
  python -m experiments.train_diffusion --data=folder:/my/images \\
      --image_size=32 --minutes=30 --workdir=runs/mine

The same command again goes on where the run was stopped.
"""

from absl import flags as absl_flags

from experiments import app
from experiments import flags
from genjax.checks import check
from genjax.data import named
from genjax.reports import diffusion as report
from genjax.reports import recognition
from genjax.runs import diffusion_settings
from genjax.runs import recipe
from genjax.runs.diffusion import TASK
from genjax.runs.diffusion_choice import begun
from genjax.runs.diffusion_choice import resolve
from genjax.runs.diffusion_choice import same_steps
from genjax.runs.diffusion_choice import within
from genjax.runs.fit import fit_run
from genjax.runs.fit import Stopped
from genjax.runs.measure import measure


def define_flags() -> None:
  """The script's flags."""
  flags.define_run('Folder of the run; one that is there already goes on.')
  absl_flags.DEFINE_enum(
      'preset', None, [*TASK.recipes, 'auto'], 'Settings that go well '
      'together; a flag wins over them. auto chooses them by the size and '
      'number of images and by the device, and is the default for a folder or '
      'an array of images or signals; digits is that for other data.')
  absl_flags.DEFINE_float(
      'minutes', None, 'Minutes that training may take, compilation included, '
      'in place of --steps: how many steps that makes is told by the speed of '
      'the first few when the run begins, and kept in its settings.',
      lower_bound=0.1, upper_bound=60 * 24 * 365)
  flags.define_settings(diffusion_settings.Settings)


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


def main() -> None:
  values = absl_flags.FLAGS
  chosen = flags.chosen(diffusion_settings.Settings)
  check(values.minutes is None or 'steps' not in chosen, 'minutes',
        'must be absent where --steps is given', values.minutes)
  check(values.minutes == values.minutes, 'minutes', 'must be a number', 'nan')
  before = begun(values.workdir)
  settings, data, preset = resolve(values.preset, chosen, before)
  cost = None
  if before is not None:
    settings = settings if values.minutes is None else same_steps(
        settings, before)
  elif preset == 'auto' or values.minutes is not None:
    cost = measure(TASK, settings, data.train)
    settings = settings if values.minutes is None else within(
        values.minutes, settings, cost, chosen)
  if preset == 'auto':
    print(f'preset auto: {recipe.described(settings)}')
  if cost is not None:
    print(cost.described(settings.steps))
  train(settings, data, values.workdir)
  print(f'finished: {app.holds(values.workdir)}')


if __name__ == '__main__':
  define_flags()
  app.run(main)
