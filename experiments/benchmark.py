"""How fast is it? Beside other libraries, in turns.

  python -m pip install -e ".[bench]"
  python -m experiments.benchmark distributions --workdir=runs/benchmark
  python -m experiments.benchmark cdf --num_points=100000 --workdir=runs/cdf
  python -m experiments.benchmark training --workdir=runs/benchmarks/training
  python -m experiments.benchmark page --workdir=runs/benchmarks

`distributions` compares with other libraries; `cdf` needs none: it compares
cumulative probabilities with log-densities, and with themselves at params of
1e8. Of several rounds, the median ratio of times, the least and the most, and
the ratio of the processor times to a first result, which is compiled.

`training`, `sampling`, `startup` and `memory` compare networks, and all that is
done with them, with PyTorch and diffusers. The table is in report.json too.
`sizes` computes, and measures nothing: memory, arithmetic and time of a step of
each preset on the devices at hand, or on a TPU that need not be there
(--topology=v5e:4x4).
`page` measures nothing: it writes docs/benchmarks.md, or --out, of the reports
in the folders of --workdir. `make benchmarks` does all five.
"""

from absl import flags
import jax

from experiments import app
from experiments import flags as shared
from genjax.checks import check
from genjax.reports import benchmark as report
from genjax.reports import benchmark_page
from genjax.reports.benchmark_suites import SUITES
from genjax.reports.table import as_text
from genjax.runs.settings import check_settings
from genjax.runs.workdir import create_or_check

_PAGE = 'page'
WORDS = (*SUITES, _PAGE)


def define_flags() -> None:
  """The script's flags."""
  shared.define_run('Folder of report.json; of page, folder of such folders.')
  shared.define_settings(report.Settings)
  flags.DEFINE_string('out', 'docs/benchmarks.md', 'File that page writes.')


def main(suite: str) -> None:
  workdir = flags.FLAGS.workdir
  if suite == _PAGE:
    text = benchmark_page.page(workdir)
    with open(flags.FLAGS.out, 'w', encoding='utf-8') as file:
      file.write(text)
    print(f'wrote {flags.FLAGS.out}')
    return
  settings = report.Settings(**shared.chosen(report.Settings))
  check_settings(settings)
  check(suite == 'sizes' or not settings.topology, 'topology',
        'must be absent but of sizes', repr(settings.topology))
  where = benchmark_page.facts()
  if settings.topology:
    where['device'] = settings.topology
  measure, caption = SUITES[suite].prepare(settings), SUITES[suite].caption
  create_or_check(workdir, f'benchmark_{suite}', settings)
  # What is kept on disk would not be compiled.
  jax.config.update('jax_enable_compilation_cache', False)
  table = measure(print)
  benchmark_page.write(workdir, suite, caption, table, where)
  print(f"""
{suite} on {where['device']}; {caption}

{as_text(table)}

{app.holds(workdir)}""")


if __name__ == '__main__':
  define_flags()
  app.run(main, words=WORDS)
