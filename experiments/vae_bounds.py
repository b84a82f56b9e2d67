"""Bounds log p(x) of a trained VAE from below and from above.

  python -m experiments.vae_bounds --workdir=runs/vae

On test images and on images that the model drew: bounds by codes from the
encoder, and by chains over many temperatures that do not trust it. Writes
report.json and bounds.png to the folder bounds of the workdir, a run of
train_vae.
"""

import os

from absl import flags as absl_flags

from experiments import app
from experiments import flags
from genjax.checks import check
from genjax.reports import vae_bounds as report
from genjax.reports.table import as_text
from genjax.runs.data import reopen_data
from genjax.runs.open import open_run

_MOST = 1_000_000  # temperatures; more is a slip of the hand


def define_flags() -> None:
  """The script's flags."""
  flags.define_run('Folder of a run of train_vae.')
  absl_flags.DEFINE_integer(
      'num_images', 100, 'Number of test images, and of images drawn from the '
      'model. All their chains run at once.', lower_bound=2)
  absl_flags.DEFINE_list(
      'temperatures', ['10', '100', '1000'],
      'Numbers of temperatures of annealed importance sampling, rising, with '
      'commas between.')
  absl_flags.DEFINE_integer('num_chains', 8, 'Number of chains of annealed '
                            'importance sampling for each image.',
                            lower_bound=2)


def main() -> None:
  values = absl_flags.FLAGS
  temperatures = flags.numbers('temperatures', values.temperatures)
  for num in temperatures:
    check(num == int(num) and 1 <= num <= _MOST, 'temperatures',
          f'must be whole numbers from 1 to {_MOST}', f'{num:.12g}')
  run = open_run(values.workdir)
  check(run.task.kind == 'vae', 'workdir', f'{values.workdir!r} must hold a '
        'run of train_vae', f'one of kind {run.task.kind}')
  folder = os.path.join(values.workdir, 'bounds')
  table = report.report(
      run, reopen_data(values.workdir, run), folder,
      num_images=values.num_images,
      temperatures=sorted(set(map(int, temperatures))),
      num_chains=values.num_chains, seed=values.seed)
  print(f'{as_text(table)}\n\n{app.holds(folder)}')


if __name__ == '__main__':
  define_flags()
  app.run(main)
