"""Repeats a random experiment, and guesses which one was repeated.

  python -m experiments.random_experiments --workdir=runs/coin
  python -m experiments.random_experiments --experiment=die --workdir=runs/die
  python -m experiments.random_experiments --probabilities=0.2,0.3,0.5 \\
      --observations=HTTHH --workdir=runs/mine

Law of large numbers: running means of several runs close in on the mean, as
1 / sqrt(n). Central limit theorem: the sum of n draws, standardised, turns into
a Gaussian, at a distance computed exactly and drawn under its bound. Bayes'
rule: the posterior over the experiments that may have given a string of heads
and tails. Figures in figures/, the numbers in report.json.
"""

from absl import flags

from experiments import app
from experiments import flags as shared
from genjax.reports import random_experiments as report
from genjax.reports.table import as_text
from genjax.runs.workdir import create_or_check


def define_flags() -> None:
  """The script's flags."""
  shared.define_run('Folder where everything is written.')
  shared.define_settings(report.Settings)


def main() -> None:
  workdir = flags.FLAGS.workdir
  settings = report.Settings(**shared.chosen(report.Settings))
  page = report.open_page(settings)
  create_or_check(workdir, 'random_experiments', settings)
  sums, candidates, coins = map(
      as_text, report.report(settings, page, workdir))
  paths = [f'{workdir}/figures/{name}.png' for name in report.FIGURES]
  print(f"""{page.name}: mean {page.law.mean:.6g}, standard deviation \
{page.law.scale:.6g}

{sums}

rms error of the mean and share of {report.RUNS} runs within 1.96 sigma/sqrt(n)
of it; distance of the standardised sum to the Gaussian, Kolmogorov's, exact;
its Berry-Esseen bound, and Esseen's limit for large n

{len(page.tosses)} tosses, {page.tosses.sum()} heads: which experiment?

{candidates}

{coins}

drew {', '.join(paths)}
{app.holds(workdir)}""")


if __name__ == '__main__':
  define_flags()
  app.run(main)
