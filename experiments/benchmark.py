"""How fast is it? Ratios of times, side by side in one process.

  python -m pip install -e ".[bench]"
  python -m experiments.benchmark distributions --workdir=runs/benchmark
  python -m experiments.benchmark cdf --num_points=100000 --workdir=runs/cdf

`distributions` compares with other libraries; `cdf` needs none: it compares
cumulative probabilities with log-densities, and with themselves at params of
1e8. Of several rounds, the median ratio of times, the least and the most, and
the ratio of the processor times to a first result, which is compiled. The
table is in report.json too.
"""

from absl import flags
import jax

from experiments import app
from experiments import flags as shared
from genjax.reports import benchmark as report
from genjax.reports.benchmark import SUITES
from genjax.reports.table import as_text
from genjax.runs.settings import check_settings
from genjax.runs.workdir import create_or_check


def define_flags() -> None:
  """The script's flags."""
  shared.define_run('Folder of report.json.')
  shared.define_settings(report.Settings)


def main(suite: str) -> None:
  workdir = flags.FLAGS.workdir
  settings = report.Settings(**shared.chosen(report.Settings))
  check_settings(settings)
  cases = SUITES[suite].cases(settings.num_points, settings.seed)
  create_or_check(workdir, f'benchmark_{suite}', settings)
  # What is kept on disk would not be compiled.
  jax.config.update('jax_enable_compilation_cache', False)
  table = report.report(settings, suite, cases, workdir, print)
  print(f"""
{settings.num_points} points on {jax.devices()[0].device_kind}; \
{SUITES[suite].caption}

{as_text(table)}

{app.holds(workdir)}""")


if __name__ == '__main__':
  define_flags()
  app.run(main, words=tuple(SUITES))
