"""Gaussians, drawn: moved, sampled, added, multiplied, sliced, updated.

  python -m experiments.gaussians --workdir=runs/gaussians
  python -m experiments.gaussians --means=0,3 --scales=2,0.5 \\
      --correlation=-0.9 --workdir=runs/mine

Every curve is the library's, and what it is held to stands beside it in the
table, also in report.json: the same number by quadrature, or by draws with its
standard error, +/-. Figures in figures/: moving.png, samples.png,
sum_and_product.png, joint.png, bayes.png.
"""

from absl import flags

from experiments import app
from experiments import flags as shared
from genjax.reports import gaussians as report
from genjax.reports.table import as_text
from genjax.runs.workdir import create_or_check


def define_flags() -> None:
  """The script's flags."""
  shared.define_run('Folder where everything is written.')
  shared.define_settings(report.Settings)


def main() -> None:
  workdir = flags.FLAGS.workdir
  settings = report.Settings(**shared.chosen(report.Settings))
  create_or_check(workdir, 'gaussians', settings)
  table = report.report(settings, workdir)
  paths = [f'{workdir}/figures/{name}.png' for name in report.FIGURES]
  print(f'{as_text(table)}\n\ndrew {", ".join(paths)}\n{app.holds(workdir)}')


if __name__ == '__main__':
  define_flags()
  app.run(main)
