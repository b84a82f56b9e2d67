"""The page of the certificate: tables that fit a screen each, and figures."""

import math
import os
from typing import Any, Callable, Sequence

from genjax.diffusion import certified
from genjax.diffusion import certified_laws as laws
from genjax.diffusion import certified_roads as roads
from genjax.files import write_text
from genjax.reports import certificate_figures as figures
from genjax.reports import certificate_guided as guided
from genjax.reports import certificate_guided_figures as guided_figures
from genjax.reports import certificate_guided_page as guided_page
from genjax.reports import table as tables
from genjax.reports.certificate import GRIDS
from genjax.reports.certificate import Row
from genjax.reports.certificate import Rows
from genjax.reports.certificate_guided_page import prose

TOLERANCE = 0.15  # of an order that is claimed
_BUDGET = 20  # evaluations, of the table of variances
_SHOWN = ('edm', 'vp_linear')  # processes whose distances are tables
_BEGINNING = ('# Certificate', prose("""
    Every method of drawing on every process, every guidance and every way of
    restoration, against the exact answer, in float64. The denoiser is that of
    data that are known, so that what is measured is the method alone. `make
    certificate` writes this page, and `certificate.json`, which holds all
    numbers; rows whose program has not changed are kept."""))


def write(out: str, rows: Rows) -> list[str]:
  """Writes certificate.md and its figures; what does not hold.

  Args:
    out: the folder.
    rows: of `certificate.measure`.

  Returns:
    What is claimed and not found, a line each.
  """
  folder = os.path.join(out, 'certificate')
  os.makedirs(folder, exist_ok=True)
  ours, theirs = _parted(rows)
  if ours:
    figures.draw(folder, ours)
  guided_figures.draw(folder, theirs)
  write_text(os.path.join(out, 'certificate.md'), page(rows))
  return check(ours)


def _parted(rows: Rows) -> tuple[Rows, Rows]:
  """Rows of methods, and those of guidance and restoration."""
  ours = {key: row for key, row in rows.items()
          if key[0] not in guided.SECTIONS}
  return ours, {key: row for key, row in rows.items() if key not in ours}


def page(rows: Rows) -> str:
  """The text of certificate.md."""
  ours, theirs = _parted(rows)
  titles = {**figures.FIGURES, **guided_figures.FIGURES}

  def image(name: str) -> str:
    return f'![{titles[name]}](certificate/{name}.png)'

  return '\n\n'.join([*_BEGINNING, *(samplers(ours, image) if ours else ()),
                      *guided_page.parts(theirs, image)]) + '\n'


def methods_of(rows: Rows, key: str) -> list[str]:
  """Methods whose rows have `key`, in their order."""
  return list(dict.fromkeys(m for (m, _), row in rows.items() if key in row))


def processes_of(rows: Rows) -> list[str]:
  """Processes of the rows, in their order."""
  return list(dict.fromkeys(p for _, p in rows))


def slopes(rows: Rows, method: str, grid: str, start: str | None = None
           ) -> dict[str, float]:
  """Order found on each process; NaN where an error is no number.

  Args:
    rows: of the certificate.
    method: its name.
    grid: one of GRIDS.
    start: 'own' or 'exact'; None where it is 'exact' if it can be.
  """
  found = {}
  for p in processes_of(rows):
    row = rows[method, p]
    errors = (row['variance_errors'][grid] if row['draws'] else row['errors'][
        grid].get(start or 'exact', row['errors'][grid]['own']))
    found[p] = laws.slope([math.nan if e is None else e for e in errors])
  return found


def check(rows: Rows) -> list[str]:
  """Claims of order that are not found to TOLERANCE, a line each.

  The error of a variance may change its sign on the way, and fall faster than
  it will: of methods that draw the order found is at least that claimed.
  """
  broken = []
  for method in methods_of(rows, 'draws'):
    if (claim := certified.CLAIMS.get(method)) is None:
      continue
    for grid in GRIDS:
      for p, order in slopes(rows, method, grid).items():
        more = math.inf if rows[method, p]['draws'] else TOLERANCE
        if not -TOLERANCE <= order - claim <= more:
          broken.append(f'{method} on {p} ({grid}): order {order:.2f}, '
                        f'claimed {claim}')
  return broken


def _span(values: Sequence[float]) -> str:
  """The least and the most, one number where they look alike."""
  low, high = (f'{f(values):.2f}' for f in (min, max))
  return low if low == high else f'{low} to {high}'


def orders(rows: Rows, *, draws: bool) -> tables.Table:
  """Claimed and found, on both grids, over all processes."""
  made = []
  for method in methods_of(rows, 'draws'):
    some = next(row for (m, _), row in rows.items() if m == method)
    if some['draws'] != draws:
      continue
    found = {grid: list(slopes(rows, method, grid).values()) for grid in GRIDS}
    own = None
    if not draws and 'exact' in some['errors'][GRIDS[0]]:
      own = _span([order for grid in GRIDS for order in slopes(
          rows, method, grid, 'own').values()])
    errors = 'variance_errors' if draws else 'errors'
    last = max((value[-1] or math.nan) for (m, _), row in rows.items()
               if m == method for grid in GRIDS
               for value in ([row[errors][grid]] if draws else
                             [row[errors][grid].get(
                                 'exact', row[errors][grid]['own'])]))
    made.append((method, f'{some["evaluations_per_step"]:g}',
                 certified.CLAIMS.get(method), *map(_span, found.values()),
                 *(() if draws else (own,)), f'{last:.1e}'))
  return tables.make_table(
      ['method', tables.Column('evaluations', 'evaluations a step'),
       tables.Column('claimed', 'order claimed'),
       tables.Column('karras', 'found, Karras'),
       tables.Column('log', 'found, log-uniform'),
       *(() if draws else (tables.Column('own', 'with its own start'),)),
       tables.Column('error', f'largest error, {laws.STEPS[-1]} steps')], made)


def _spent(row: Row, budget: int, name: str) -> float | None:
  spent = row['budgets'].get(str(budget))
  return None if spent is None else spent[name]


def variances(rows: Rows, budget: int = _BUDGET) -> tables.Table:
  """Output variance over that of the data at a budget, processes across."""
  mean, variance = laws.moments(laws.GAUSSIAN)

  def cell(row: Row) -> str | None:
    value = _spent(row, budget, 'variance')
    return None if value is None else f'{value / variance:.3f}'

  def off(method: str) -> str | None:
    means = [_spent(rows[method, p], budget, 'mean')
             for p in processes_of(rows)]
    gaps = [abs(m - mean) for m in means if m is not None]
    return f'{max(gaps):.3f}' if gaps else None

  return tables.make_table(
      ['method', *processes_of(rows),
       tables.Column('mean', 'mean off by at most')],
      [(m, *(cell(rows[m, p]) for p in processes_of(rows)), off(m))
       for m in methods_of(rows, 'draws')])


def distances(rows: Rows, process: str) -> tables.Table:
  """W2 to the mixture at every budget, on one process."""

  def cell(row: Row, budget: int) -> str | None:
    value = _spent(row, budget, 'w2')
    return None if value is None else f'{value:.3f}'

  return tables.make_table(
      ['method', *map(str, laws.BUDGETS)],
      [(m, *(cell(rows[m, process], b) for b in laws.BUDGETS))
       for m in methods_of(rows, 'draws')])


def adapted(rows: Rows) -> tables.Table:
  """Evaluations and error of methods that choose their steps."""

  def cell(row: Row) -> str:
    found = row['adapted']
    return f'{found["evaluations"]:.0f}: {found["error"]:.0e}'

  return tables.make_table(
      ['method', *processes_of(rows)],
      [(m, *(cell(rows[m, p]) for p in processes_of(rows)))
       for m in methods_of(rows, 'adapted')])


def likelihoods(rows: Rows) -> tables.Table:
  """Error of each road to log p(x), nats, processes down."""
  names = methods_of(rows, 'likelihood')

  def cell(row: Row) -> str:
    mean, noise = (row['likelihood'][name] for name in ('mean', 'noise'))
    return f'{mean:.1e}' + (f' +/- {noise:.0e}' if noise else '')

  return tables.make_table(
      ['process', *names],
      [(p, *(cell(rows[m, p]) for m in names)) for p in processes_of(rows)])


def samplers(rows: Rows, image: Callable[[str], str]) -> list[str]:
  """What the page says of methods."""

  def chart(make: Any, *args: Any, **options: Any) -> str:
    return tables.as_markdown(make(rows, *args, **options))

  mean, variance = laws.moments(laws.GAUSSIAN)
  std = math.sqrt(laws.moments(laws.MIXTURE)[1])
  num = len(processes_of(rows))
  claimed = [m for m in methods_of(rows, 'draws') if m in certified.CLAIMS]
  broken = check(rows)
  verdict = ('Every one of them is found.' if not broken else
             'Not found are: ' + '; '.join(broken) + '.')
  parts = [
      '## Order of convergence',
      prose(f"""Largest error of x over {laws.ROWS} starts, between sigma /
             alpha = {laws.HIGH:g} and {laws.LOW:g}, on a mixture of two
             Gaussians on the line, whose probability flow is known to a
             rounding. The order is the slope of the error from {laws.STEPS[0]}
             to {laws.STEPS[-1]} steps, from the least to the most of {num}
             processes. Multistep methods begin from exact values, and from
             their own in the column that says so. Claimed are the orders of
             {len(claimed)} methods, to {TOLERANCE:g}, on every process and both
             grids. {verdict}"""),
      chart(orders, draws=False), image('orders'),
      prose(f"""Of methods that draw, the error is that of the variance,
             relative, the largest of Gaussian data of variances
             {", ".join(map(str, laws.VARIANCES))}; every step is affine there,
             so that it is exact. That of `restart` does not shrink with the
             steps, for those within its interval stay as many. Claimed are
             orders of at least so much, as an error may change its sign on the
             way."""),
      chart(orders, draws=True),
      f'## Output law at {_BUDGET} evaluations',
      prose(f"""Variance of what is drawn over that of the data, N({mean:g},
             {variance:g}): 1 is right. On the process's own grid, from N(0,
             alpha^2 {variance:g} + sigma^2), without chance. Evaluations of the
             denoiser are counted. A cell is empty where 2 steps take more of
             them, or x is infinite, as by a drift at alpha = 0."""),
      chart(variances), image('variances'),
      '## Distance to the data',
      prose(f"""W2 to the mixture, of standard deviation {std:.3f}, by
             evaluations. Methods that draw nothing move quantiles of the start,
             to 1e-4. Of the others {laws.ROWS * laws.CHUNKS} samples are drawn:
             as many draws of the data themselves are .017 away, in the root of
             the mean square, and another seed has been seen to change a cell by
             .03.""")]
  for p in processes_of(rows):
    if p in _SHOWN:
      parts += [f'On `{p}`:', chart(distances, p)]
  parts.append(image('distances'))
  if methods_of(rows, 'adapted'):
    parts += ['## Steps of its own',
              prose("""Mean evaluations, and the largest error of x as of the
                     orders above, in one step of the grid."""), chart(adapted)]
  if methods_of(rows, 'likelihood'):
    parts += ['## Likelihood',
              prose(f"""Error of log p(x) in nats, a mean over {roads.POINTS}
                     points of the mixture, from sigma / alpha = .002 up, with
                     its standard error where noise is drawn: of the flow with
                     its exact divergence, of the variational bound of a chain
                     and of its limit, which is one number for all schedules of
                     the same ends, and of the I-MMSE relation."""),
              chart(likelihoods)]
  return parts
