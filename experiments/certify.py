"""Measures every sampler, guidance and restoration against the exact answer.

  python -m experiments.certify --out=docs
  python -m experiments.certify --out=runs/mine --methods=ddim,heun \\
      --processes=edm
  python -m experiments.certify --out=runs/mine --methods=guidance

Writes certificate.md, certificate.json, in which rows are kept beside what they
were measured of, and figures in certificate/. Exit status 1 where an order that
is claimed is not found.
"""

import os

from absl import flags
from absl import logging

from experiments import app
from genjax.reports import certificate
from genjax.reports import certificate_page


def define_flags() -> None:
  """The script's flags."""
  flags.DEFINE_string('out', None, 'Folder where everything is written.')
  flags.mark_flag_as_required('out')
  flags.DEFINE_list('methods', [], 'Methods, roads to the likelihood, '
                    'and sections on guidance and restoration, that are '
                    'measured; all if absent.')
  flags.DEFINE_list('processes', [], 'Processes on which methods and roads '
                    'are measured; all if absent.')
  flags.DEFINE_integer('workers', 1, 'Number of methods that are measured at a '
                       'time.', lower_bound=1)


def main() -> None:
  values = flags.FLAGS
  os.makedirs(values.out, exist_ok=True)
  rows = certificate.measure(values.out, logging.info, values.methods,
                             values.processes, workers=values.workers)
  broken = certificate_page.write(values.out, rows)
  if broken:
    raise ValueError('an order is not what it is claimed to be: '
                     + '; '.join(broken))
  print(f'wrote {values.out}/certificate.md, {values.out}/certificate.json '
        f'and figures in {values.out}/certificate')


if __name__ == '__main__':
  define_flags()
  app.run(main)
