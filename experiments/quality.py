"""Judges the digits that the demo's model draws, over seeds.

  python -m experiments.quality

Trains the digits preset for each seed, draws 1500 samples with the labels of
the training split, and writes five measures beside those of real data to
<workdir>/report.json: what README.md reports.
"""

import os

from absl import flags as absl_flags
import numpy as np

from experiments import app
from experiments import flags
from experiments import train_diffusion
from genjax.files import write_json
from genjax.reports import quality as report
from genjax.reports.table import as_text
from genjax.runs import open_run
from genjax.runs.diffusion_choice import resolve


def define_flags() -> None:
  """The script's flags."""
  flags.define_run('Where the runs are kept.', 'runs/quality')
  absl_flags.DEFINE_integer('num_seeds', 3, 'Number of seeds, for each '
                            'of which a model is trained.', lower_bound=1)


def main() -> None:
  values = absl_flags.FLAGS
  rows = {'real train': report.real_floor()}
  for seed in range(values.seed, values.seed + values.num_seeds):
    workdir = os.path.join(values.workdir, f'seed_{seed}')
    settings, data, _ = resolve('digits', {'seed': seed})
    train_diffusion.train(settings, data, workdir)
    row = report.judge(*report.draw_like_train(open_run(workdir), seed))
    rows[f'seed {seed}'] = row
    print(as_text(report.table({f'seed {seed}': row})), flush=True)
  runs = [row for name, row in rows.items() if name.startswith('seed')]
  for name, reduce in (('mean', np.mean), ('least', np.min), ('most', np.max)):
    rows[name] = {k: float(reduce([run[k] for run in runs])) for k in runs[0]}
  print(as_text(report.table(rows)))
  write_json(os.path.join(values.workdir, 'report.json'), rows)
  print(app.holds(values.workdir))


if __name__ == '__main__':
  define_flags()
  app.run(main)
