"""Do a few images go further with mixup, or with samples of a VAE of them?

  python -m experiments.augmentation --workdir=runs/augmentation

Trains classifiers on 10, 20, 50 and 100 real images a class: on these alone,
with mixup, and with samples of a class-conditional VAE, which was trained on
the same few images and has seen no other. Within a seed the three share images,
initial weights and number of steps. Writes the accuracies on test images,
their means over seeds and those of the gains, with 95 % intervals, to
report.json and a figure. What is done is kept: the same command again
goes on where it was stopped.

What the recipes of train_classifier and train_vae leave open was chosen on
training digits outside of the few, 10 and 50 a class, with other seeds: mixup
of 0.1 rather than 0.2, 0.5 or 1; for the VAE beta = 4 rather than 0.5, 1, 2 or
8, mean images rather than such with observation noise, and a quarter of a batch
rather than half of it. None was better than the real images alone there.
"""

from absl import flags as absl_flags

from experiments import app
from experiments import flags
from genjax.reports import augmentation
from genjax.reports.table import as_text
from genjax.runs import workdir as workdirs
from genjax.runs.settings import check_settings


def define_flags() -> None:
  """The script's flags."""
  flags.define_run('Folder of the study; the same again goes on with it.')
  flags.define_settings(augmentation.Settings)


def main() -> None:
  workdir = absl_flags.FLAGS.workdir
  settings = augmentation.Settings(**flags.chosen(augmentation.Settings))
  check_settings(settings)
  data, train, test = augmentation.open_images(settings)
  arms = augmentation.arms_of(settings, data)
  workdirs.create_or_check(workdir, 'augmentation', settings)
  table, verdicts = augmentation.report(settings, arms, train, test, workdir,
                                        print)
  print('', as_text(table), '', *verdicts, sep='\n')
  print(f'accuracy on {len(test.x)} test images: mean over '
        f'{settings.num_seeds} seeds with its 95 % interval; '
        + app.holds(workdir))


if __name__ == '__main__':
  define_flags()
  app.run(main)
