"""Draws the forward and the reverse process of a trained diffusion model.

  python -m experiments.forward_reverse --workdir=runs/digits

Data turn to noise step by step, and noise to data: a filmstrip,
figures/forward_reverse.png, and an animation, figures/forward_reverse.gif.
For 2-D points also the distance of the samples to the exact marginal at each
time, with its floor, in report.json; where the data are a
known mixture, its exact density is drawn over them.
"""

import os

from absl import flags as absl_flags

from experiments import app
from experiments import drawing
from experiments import flags
from genjax.checks import check
from genjax.files import write_json
from genjax.reports import forward_reverse as report
from genjax.reports.table import as_json
from genjax.reports.table import as_text
from genjax.runs.data import reopen_data
from genjax.runs.diffusion_settings import num_classes


def define_flags() -> None:
  """The script's flags."""
  flags.define_run('Folder of the trained run.')
  drawing.define_flags()


def main() -> None:
  values, (run, _) = absl_flags.FLAGS, drawing.opened()
  settings = run.settings
  check(run.task.kind == 'diffusion', 'workdir', 'must be the folder of a run '
        'of train_diffusion', f'a {run.task.kind} in {values.workdir!r}')
  parts = run.task.build(settings).parts
  folder = os.path.join(values.workdir, 'figures')
  if len(settings.shape) == 1:
    written, table = report.draw_points(
        parts, run.params, settings.data.partition(':')[2],
        num_classes(settings) is not None, values.seed, folder)
    written.append(os.path.join(values.workdir, 'report.json'))
    write_json(written[-1], as_json(table))
    print(f'energy distance of {report.POINTS} samples to {report.POINTS} '
          'exact draws of the marginal (floor: exact to exact)')
    print(as_text(table))
  else:
    x0, label = report.example_images(
        run, reopen_data(values.workdir, run), 36)
    written = report.draw_images(parts, run.params, x0, label, values.seed,
                                 folder)
  print('wrote ' + ', '.join(written))


if __name__ == '__main__':
  define_flags()
  app.run(main)
