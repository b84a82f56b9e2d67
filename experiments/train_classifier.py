"""Trains a feature extractor with a task's head, and shows what it sees.

  python -m experiments.train_classifier --workdir=runs/classifier
  python -m experiments.train_classifier --workdir=runs/spirals \\
      --data=toy:spirals,turns=2,noise=0.05
  python -m experiments.train_classifier --task=regression --workdir=runs/line

Classifies digits, images of a folder or a tfds set, or points in the plane;
or fits a line (a curve, with --width=32,32) to points. Of a toy set there are
1000 points where none are given, and as many to test with. Writes report.json,
metrics.jsonl, checkpoints and figures. The same command again goes on where
the run was stopped.
"""

from absl import flags as absl_flags

from experiments import app
from experiments import flags
from genjax.reports import classifier as report
from genjax.reports.table import as_text
from genjax.runs import classifier
from genjax.runs.classifier_data import open_data
from genjax.runs.classifier_data import settings_for
from genjax.runs.fit import fit_run
from genjax.runs.open import open_run


def define_flags() -> None:
  """The script's flags."""
  flags.define_run('Folder of the run; one that is there already goes on.')
  flags.define_settings(classifier.Settings)


def main() -> None:
  workdir = absl_flags.FLAGS.workdir
  chosen = flags.chosen(classifier.Settings)
  data = open_data(chosen)
  settings = settings_for(data, chosen)
  fit_run(classifier.TASK, settings, data, workdir, hooks=report.hooks)
  print(as_text(report.report(open_run(workdir), data, workdir)))
  print(app.holds(workdir))


if __name__ == '__main__':
  define_flags()
  app.run(main)
