"""Says how likely held-out data are under a trained model, by every road.

  python -m experiments.likelihood --workdir=runs/digits

Of a run of train_diffusion by the probability-flow ODE, the variational bound
and the I-MMSE relation; of train_vae and fit_distribution by their own bound or
density. Prints bits per dimension with their intervals over examples, under
both conventions of dequantisation; and how likely shifted, inverted, blurred
and noise images are beside the real ones. A model that is told classes is told
that of each example. Writes report.json and figures to the folder likelihood of
the workdir.
"""

import os

from absl import flags as absl_flags

from experiments import app
from experiments import flags
from genjax.reports import likelihood as report
from genjax.reports.roads import Effort
from genjax.reports.table import as_text
from genjax.runs.open import open_run


def define_flags() -> None:
  """The script's flags."""
  flags.define_run('Folder of a run that has a density.')
  absl_flags.DEFINE_integer('num_examples', 100, 'Largest number of examples '
                            'to score, chosen at random.', lower_bound=2)
  absl_flags.DEFINE_integer('num_draws', 5, 'Number of draws of the noise that '
                            'is added to pixels on levels, as a density '
                            'needs.',
                            lower_bound=1)
  absl_flags.DEFINE_integer('num_levels', None, 'Number of levels of a pixel; '
                            'absent, that of the run or of the images.',
                            lower_bound=2, upper_bound=65536)
  absl_flags.DEFINE_integer('num_steps', 16, 'Number of steps of the ODE.',
                            lower_bound=1)
  absl_flags.DEFINE_float('tolerance', None, 'Tolerance of an ODE solver that '
                          'chooses its steps; absent, they are fixed.')
  absl_flags.DEFINE_integer('num_probes', 8, 'Number of probes by which the '
                            'divergence of the ODE is estimated; 0 takes the '
                            'exact one, a derivative a dimension.',
                            lower_bound=0)
  absl_flags.DEFINE_integer('num_samples', 8, 'Number of estimates of the '
                            'bound and of I-MMSE.', lower_bound=2)
  absl_flags.DEFINE_integer('num_times', 16, 'Number of noise levels of each '
                            'estimate.', lower_bound=1)


def main() -> None:
  values = absl_flags.FLAGS
  run = open_run(values.workdir)
  folder = os.path.join(values.workdir, 'likelihood')
  tables = report.report(
      run, report.held_out(run, values.workdir, values.num_examples,
                           values.seed), folder, num_draws=values.num_draws,
      num_levels=values.num_levels, seed=values.seed, effort=Effort(
          values.num_steps, values.num_probes or None, values.tolerance,
          values.num_times, values.num_samples))
  print(*map(as_text, tables), app.holds(folder), sep='\n\n')


if __name__ == '__main__':
  define_flags()
  app.run(main)
