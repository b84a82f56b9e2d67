"""Sweeps the scale of guidance of a diffusion run, and says which is best.

  python -m experiments.guide --workdir=runs/digits
  python -m experiments.guide --workdir=runs/digits --scales=1,1.15,1.5,2,3 \\
      --guidance_methods=classifier_free,projected

Each scale, and the run's own among them, draws from the same noise, of the
classes of held-out images, with all else as the run's settings have it. Samples
are scored by a classifier of the run's classes: the share that it recognises,
the Frechet distance to held-out images in its features, and recall, the share
of held-out images that lie among the samples, which falls as samples grow
alike. Beside each stands what real images score. Distances are unbiased for
independent draws; samples in the shares of the held-out images' classes are
more alike to these, and may lie below 0, as real images that were split by
class do. The classifier is that of --classifier, that kept in the run's folder,
or one trained there. Writes report.json and guidance.png in <workdir>/guidance,
and says in a sentence which scale has the least distance, which others lie
within its interval, and what the run's own gives.
"""

import os

from absl import flags as absl_flags

from experiments import app
from experiments import flags
from genjax import store
from genjax.diffusion.guided import METHODS
from genjax.reports import guidance_sweep
from genjax.reports.table import as_text
from genjax.runs.data import reopen_data
from genjax.runs.open import open_run


def define_flags() -> None:
  """The script's flags."""
  flags.define_run('Folder of the trained run.')
  absl_flags.DEFINE_list('scales', ['1', '1.15', '1.5', '2', '3', '5'],
                         'Scales of guidance, two or more; 1 is none. The '
                         "run's own is drawn too.")
  absl_flags.DEFINE_list('guidance_methods', [], 'How samples are guided, of '
                         f'{", ".join(METHODS)}; the run\'s own method where '
                         'absent.')
  absl_flags.DEFINE_integer('num_samples', 1000, 'Number of samples of each '
                            'scale.', 20, 10**6)
  absl_flags.DEFINE_string('classifier', None, 'Folder of a run of '
                           'train_classifier, which scores samples; absent, '
                           'that in the folder of the run, or one trained.')


def main() -> None:
  values = absl_flags.FLAGS
  scales = flags.numbers('scales', values.scales)
  run = open_run(values.workdir)
  guidance_sweep.check_run(run)
  arms = guidance_sweep.arms_of(run, values.guidance_methods, scales)
  data = reopen_data(values.workdir, run)
  judge = guidance_sweep.judge_of(run, data, values.classifier, values.workdir,
                                  print)
  folder = os.path.join(values.workdir, 'guidance')
  table, said = guidance_sweep.report(
      run, data, judge, arms, folder, num_samples=values.num_samples,
      seed=values.seed)
  judged = '' if values.classifier else (
      f'scored by {store.shown(os.path.join(values.workdir, "classifier"))}; ')
  print(f'{as_text(table)}\n\n{said}\n\n{judged}{app.holds(folder)}')


if __name__ == '__main__':
  define_flags()
  app.run(main)
