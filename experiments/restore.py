"""Restores held-out images from a part of what they show, by several solvers.

  python -m experiments.restore --workdir=runs/digits --measure=half

Images that the run was not trained on are measured, with noise: the upper half
of their pixels, fewer of them, a blur. A diffusion model then draws what they
may have been. Prints, a solver a line: how far the mean of its draws is from
the truth, and from the mean of the exact posterior of the training images; how
far the draws are from the measurement (its noise is right); the variance of the
truth in units of that of the draws (1 is right, more is over-confident); how
often a classifier recognises the class; and of smc its estimate of log p(y).
Writes report.json, a figure of each solver and one of the ranks of the truth to
the folder restored of the workdir.
"""

import math
import os

from absl import flags as absl_flags

from experiments import app
from experiments import flags
from genjax.checks import check
from genjax.diffusion import restoring
from genjax.reports import image_sets
from genjax.reports import restoration
from genjax.reports.judge import find_judge
from genjax.reports.measurements import MEASUREMENTS
from genjax.reports.measurements import operator_of
from genjax.reports.table import as_text
from genjax.runs.data import reopen_data
from genjax.runs.open import open_run


def define_flags() -> None:
  """The script's flags."""
  flags.define_run('Folder of a run of train_diffusion, of images.')
  absl_flags.DEFINE_string('weights', 'ema', 'Parameters to draw with: ema, '
                           'their moving average, or raw.')
  absl_flags.DEFINE_string('measure', 'half', 'What is measured of an image: '
                           f'{", ".join(MEASUREMENTS)}; with a number, as '
                           'box:0.5 (share of each side that is missing), '
                           'random:0.5 (share of pixels that is kept), '
                           'downsample:2, blur:1.5 (pixels).')
  absl_flags.DEFINE_float('noise_std', 0.1, 'Standard deviation of the noise '
                          'of a measurement, where pixels are from -1 to 1.',
                          lower_bound=0.0, upper_bound=1e3)
  absl_flags.DEFINE_list('solvers', ['repaint', 'pigdm', 'smc'], 'Solvers, '
                         'with commas between, of '
                         f'{", ".join(restoring.SOLVERS)}; dps:1000 takes as '
                         'many steps.')
  absl_flags.DEFINE_string('classifier', None, 'Folder of a run of '
                           'train_classifier, which says whether draws are of '
                           'the class of the truth; absent, one is trained.')
  absl_flags.DEFINE_integer('num_images', 16, 'Number of images to restore, '
                            'chosen at random.', 2, 10**5)
  absl_flags.DEFINE_integer('num_draws', 8, 'Number of draws of each image.', 2,
                            10**4)
  absl_flags.DEFINE_integer('steps', 100, 'Number of steps of a draw, '
                            'where a solver is told none; dps needs 1000 where '
                            'the noise is little.', 2, 10**5)
  absl_flags.DEFINE_integer('particles', 16, 'Number of particles of a draw by '
                            'smc.', 2, 10**5)
  absl_flags.DEFINE_integer('repeats', 10, 'How often repaint makes a step.', 1,
                            10**4)
  absl_flags.DEFINE_float('scale', 1.0, 'Factor of the gradient of dps and '
                          'pigdm.', 0.0, 1e6)


def parse_solvers(words: list[str], steps: int) -> dict[str, int]:
  """Solvers and their steps, of words such as pigdm and dps:1000.

  Raises:
    ValueError: no solver, one that is none, or a number that does not fit.
  """
  found = {}
  for word in words:
    name, _, number = word.partition(':')
    check(name in restoring.SOLVERS, 'solvers', 'must be some of '
          f'{", ".join(restoring.SOLVERS)}', repr(word))
    check(number == '' or number.isdecimal() and 2 <= int(number) <= 10**5,
          'solvers', 'must have a number of steps behind the colon, 2 to '
          '100000', repr(word))
    found[name] = int(number or steps)
  check(bool(found), 'solvers', 'must name a solver', 'none')
  return found


def main() -> None:
  values = absl_flags.FLAGS
  solvers = parse_solvers(values.solvers, values.steps)
  check(math.isfinite(values.noise_std), 'noise_std', 'must be a number',
        values.noise_std)
  needy = [s for s in solvers if s in restoring.NEEDS_NOISE]
  check(values.noise_std > 0 or not needy, 'noise_std', 'must be positive for '
        f'{", ".join(needy)}', values.noise_std)
  run = open_run(values.workdir, values.weights)
  check(run.task.kind == 'diffusion', 'workdir', f'{values.workdir!r} must '
        'hold a run of train_diffusion', f'one of kind {run.task.kind}')
  operator = operator_of(values.measure, run.settings.shape, values.seed)
  data = reopen_data(values.workdir, run)
  held_out = data.train if data.test is None else data.test
  folder = os.path.join(values.workdir, 'restored')
  judge = find_judge(
      values.classifier, data, image_sets.data_of(run.settings), folder,
      print) if data.description.class_names else None
  os.makedirs(folder, exist_ok=True)
  train = image_sets.read(data.train, 10**5, values.seed)
  table = restoration.report(
      run, train.x, image_sets.read(held_out, values.num_images, values.seed),
      operator, solvers, folder, noise_std=values.noise_std,
      effort=restoration.Effort(
          values.num_draws, values.particles, values.repeats, values.scale),
      judge=judge, seed=values.seed, say=print)
  if data.test is None:
    print('the data have no held-out part: training images were restored')
  print(f'\n{as_text(table)}\n\n{app.holds(folder)}')


if __name__ == '__main__':
  define_flags()
  app.run(main)
