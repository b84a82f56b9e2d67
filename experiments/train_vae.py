"""Trains a variational autoencoder, and shows its codes and what they mean.

  python -m experiments.train_vae --workdir=runs/vae
  python -m experiments.train_vae --workdir=runs/plane --latents=2
  python -m experiments.train_vae --workdir=runs/binary --data=binarized_digits
  python -m experiments.train_vae --data=folder:/my/images --image_size=32 \\
      --held_out=0.1 --workdir=runs/mine

Writes report.json, metrics.jsonl, checkpoints and figures. The same command
again goes on where the run was stopped.
"""

from absl import flags as absl_flags

from experiments import app
from experiments import flags
from genjax.reports import vae as report
from genjax.reports.table import as_text
from genjax.runs import vae
from genjax.runs import vae_settings
from genjax.runs.data import open_data
from genjax.runs.fit import fit_run
from genjax.runs.open import open_run
from genjax.runs.settings import check_settings


def define_flags() -> None:
  """The script's flags."""
  flags.define_run('Folder of the run; one that is there already goes on.')
  flags.define_settings(vae_settings.Settings)


def main() -> None:
  workdir = absl_flags.FLAGS.workdir
  settings = vae_settings.choose(flags.chosen(vae_settings.Settings))
  check_settings(settings)
  data = open_data(settings)
  settings = vae_settings.with_facts(settings, data)
  fit_run(vae.TASK, settings, data, workdir)
  tables = report.report(open_run(workdir), data, workdir)
  print(*map(as_text, tables), app.holds(workdir), sep='\n\n')


if __name__ == '__main__':
  define_flags()
  app.run(main)
