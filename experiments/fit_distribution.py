"""Fits distributions to an unknown one, and compares them on test data.

  python -m experiments.fit_distribution --data=moons --workdir=runs/moons
  python -m experiments.fit_distribution --data=my.csv --model=mixture \\
      --workdir=runs/mine

All models are fitted unless `--model` names one; each is a run of its own,
<workdir>/<model>/, which genjax.runs.open_run opens. The table, also in
report.json, holds the mean of -log p(x) over points that no model has seen,
of the continuous density in the data's own units: in nats, and in bits per
dimension, nats / (D ln 2). Both may be negative, and change with the units.
The figure draws each density over these points: figures/densities.png, or for
more than two dimensions draws from each, figures/samples.png. The same
command again goes on where training was stopped.
"""

import dataclasses
import os

from absl import flags

from experiments import app
from experiments import flags as shared
from genjax.data import rows
from genjax.densities import MODELS
from genjax.files import write_json
from genjax.reports import density as report
from genjax.reports.table import as_json
from genjax.reports.table import as_text
from genjax.runs import density
from genjax.runs import open_run
from genjax.runs import workdir as workdirs
from genjax.runs.density_fits import fit_density
from genjax.runs.settings import check_settings

_CHECKPOINTS = 20  # of one training, of which the best is taken


def define_flags() -> None:
  """The script's flags."""
  shared.define_run('Folder where everything is written.')
  flags.DEFINE_enum('model', 'all', ['all', *MODELS], 'Model to fit.')
  shared.define_settings(density.Settings, without=density.FACTS)


def main() -> None:
  values = flags.FLAGS
  chosen = shared.chosen(density.Settings) | {'model': 'flow'}
  steps = chosen.get('steps', density.Settings.steps)
  settings = density.Settings(
      **{'save_every': max(steps // _CHECKPOINTS, 1), **chosen})
  check_settings(settings)
  points = rows.open_points(settings.data, settings.seed)
  workdirs.create_or_check(values.workdir, 'densities', report.Settings(
      settings.data, settings.seed))
  runs = {}
  for model in MODELS if values.model == 'all' else [values.model]:
    print(f'fitting {model}', flush=True)
    workdir = os.path.join(values.workdir, model)
    fit_density(dataclasses.replace(settings, model=model), points.train,
                workdir)
    runs[model] = open_run(workdir)

  truth = report.true_density(settings.data)
  table = report.compare(truth, runs, points.test)
  report.draw(os.path.join(values.workdir, 'figures'), truth, runs, points,
              table)
  num, dim = points.test.shape
  write_json(os.path.join(values.workdir, 'report.json'), {
      'data': settings.data, 'num_train': len(points.train), 'num_test': num,
      'models': as_json(table)})
  print(f"""
-log p(x) of {num} test points of {settings.data}, mean and standard error;
bits/dim = nats / ({dim} ln 2) of the density in the data's own units

{as_text(table)}

{app.holds(values.workdir)}""")


if __name__ == '__main__':
  define_flags()
  app.run(main)
