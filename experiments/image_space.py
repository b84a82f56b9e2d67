"""What it means that two images are close: three distances, side by side.

  python -m experiments.image_space --workdir=runs/image_space

Euclidean distance of pixels, 1 - SSIM, and Euclidean distance of a trained
classifier's features. Under each: the nearest training images of test images,
the accuracy of k-NN, and how far a one-pixel shift, a rotation, noise and
brightness lead, as shares of the mean distance between classes. One figure and
one table, in report.json too. --data=folder:<path> --held_out=0.2 takes own
images, a sub-folder a class.
"""

from absl import flags as absl_flags

from experiments import app
from experiments import flags
from genjax.reports import image_sets
from genjax.reports import image_space
from genjax.reports.judge import find_judge
from genjax.reports.table import as_text
from genjax.runs import workdir as workdirs
from genjax.runs.settings import check_settings


def define_flags() -> None:
  """The script's flags."""
  flags.define_run('Folder of report.json and the figure.')
  flags.define_settings(image_space.Settings)


def main() -> None:
  workdir = absl_flags.FLAGS.workdir
  settings = image_space.Settings(**flags.chosen(image_space.Settings))
  check_settings(settings)
  data, train, test = image_space.open_images(settings)
  workdirs.check_same(workdir, 'image_space', settings)
  judge = find_judge(settings.classifier, data, image_sets.data_of(settings),
                     workdir, print)
  workdirs.create_or_check(workdir, 'image_space', settings)
  table = image_space.report(settings, train, test, judge, workdir)
  print(f'{as_text(table)}\n\ndistances {image_space.UNIT}; features by '
        f'extractor {judge.extractor}; {app.holds(workdir)}')


if __name__ == '__main__':
  define_flags()
  app.run(main)
