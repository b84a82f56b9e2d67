"""Sections of the certificate's page on guidance and on restoration."""

import textwrap
from typing import Any, Callable, Mapping, Sequence

from genjax.diffusion import certified_guidance as guidance
from genjax.diffusion import certified_restoration as restoration
from genjax.metrics.estimate import Estimate
from genjax.reports import certificate_guided as guided
from genjax.reports import table as tables

Row = dict[str, Any]
Rows = Mapping[tuple[str, str], Row]  # (section, what is measured) -> facts

ALONG, ACROSS = 0, 1
_SURE = 1e-3  # of the p-value of uniform ranks
_SAME = 1e-3  # of numbers that are one


def parts(rows: Rows, image: Callable[[str], str]) -> list[str]:
  """Texts, tables and figures of the sections that have rows.

  Args:
    rows: of the certificate.
    image: name of a figure -> how it stands on the page.
  """
  made: list[str] = []
  if any(section == guided.GUIDANCE for section, _ in rows):
    made += ['## Guidance', *_guidance(rows), image('guidance')]
  if sections := restorations(rows):
    made += ['## Restoration', _setting(), *(
        part for section in sections for part in (
            f'Of {section.removeprefix("restoration of ")}:',
            tables.as_markdown(restored(rows, section)))),
             *_seen(rows), image('ranks')]
  return made


def restorations(rows: Rows) -> list[str]:
  """Sections of restoration that have rows, in their order."""
  return [section for section in guided.SECTIONS
          if section != guided.GUIDANCE
          and any(section == of for of, _ in rows)]


def guidances(rows: Rows) -> dict[str, Row]:
  """Rows of guidance by scale, by name."""
  return {name: row['scales'] for (section, name), row in rows.items()
          if section == guided.GUIDANCE}


def off(row: Row) -> float | None:
  """The most that a mean or variance is off the closed form, if there is one.
  """
  return max((found['off'] for found in row.values()
              if found['off'] is not None), default=None)


def doubts(row: Row) -> float:
  """The most that a mean or variance is off the tilted law, in standard errors.
  """
  return max(abs(found[name] - found['tilted'][i]) / found[f'{name}_noise']
             for found in row.values()
             for i, name in enumerate(('mean', 'variance')))


def laws(rows: Rows) -> tables.Table:
  """Mean and variance at every scale, of each guidance and of what is known."""
  found = guidances(rows)
  scales = list(next(iter(found.values())))

  def cell(pair: Sequence[float]) -> str:
    return f'{pair[0]:.3f}, {pair[1]:.4f}'

  def gap(row: Row) -> str | None:
    value = off(row)
    return None if value is None else f'{value:.0e}'

  made = [(name, *(cell((row[s]['mean'], row[s]['variance'])) for s in scales),
           gap(row)) for name, row in found.items()]
  known: dict[tuple[str, ...], str] = {}
  for name, row in found.items():
    weaker = guidance.other(name) != guidance.UNCOND
    known.setdefault(tuple(cell(row[s]['tilted']) for s in scales),
                     f'*tilted law{", weaker" * weaker}*')
  made += [(title, *cells, None) for cells, title in known.items()]
  return tables.make_table(
      ['guidance', *(tables.Column(s, f'scale {s}') for s in scales),
       tables.Column('off', 'closed form off by')], made)


def narrower(rows: Rows) -> tuple[list[str], list[str]]:
  """Guidances of less variance than the tilted law, and the others.

  The former at every scale above 1.
  """
  less, others = [], []
  for name, row in guidances(rows).items():
    below = all(found['variance'] < found['tilted'][1]
                for scale, found in row.items() if float(scale) > 1)
    (less if below else others).append(name)
  return less, others


def _guidance(rows: Rows) -> list[str]:
  found = guidances(rows)
  cond, other, weaker = (f'N({law.mean:g}, {law.variance:g})' for law in (
      guidance.COND, guidance.UNCOND, guidance.WEAKER))
  low, high = guidance.INTERVAL
  texts = [f"""Mean and variance of what a guidance samples of Gaussian data,
           p(x | c) = {cond} and p(x) = {other}, beside p(x | c)^w p(x)^(1 - w)
           / Z, the tilted law, which it is often said to sample. Autoguidance
           is by a weaker model of p(x | c), {weaker}. The flow is solved from
           all noise to none, in float64, with the exact denoisers. A sample has
           {guidance.SIGNS.size} independent entries, as some guidances act on
           them together: half of them have the mean -{guidance.COND.mean:g},
           and are counted with their sign changed. {guidance.STARTS} starts
           have mean 0 and variance 1 exactly, so that nothing is left to chance
           where the flow is affine. `limited_interval` guides where the log-SNR
           is in [{low:g}, {high:g}], `rescaled` has the share
           {guidance.SHARE:g}, `projected` eta 0, and `momentum` is that with
           the factor {guidance.MOMENTUM:g}, by DPM-Solver++ (2M) in
           {guidance.STEPS} steps. `composed` is sequential Monte Carlo of one
           entry: {guidance.CHAINS} draws of {guidance.PARTICLES} particles in
           {guidance.CHAIN_STEPS} steps."""]
  seen = []
  linear = {name: off(row) for name, row in found.items()}
  gaps = [gap for gap in linear.values() if gap is not None]
  if gaps:
    seen.append(f"""Of {_listed([n for n, gap in linear.items()
                if gap is not None])} the law is known in closed form, of
                variance v^w u^(1 - w), where v and u are the variances of the
                two models: what is sampled is within {max(gaps):.0e} of it.""")
  less, more = narrower(rows)
  if less:
    seen.append(f"""The variance of {_listed(less)} is below that of the tilted
                law at every scale above 1.""")
  if more:
    seen.append(f"""{'That' if less else 'The variance'} of {_listed(more)} is
                not below it at every one of them.""")
  last = max(next(iter(found.values())), key=float)
  means = {name: row[last]['mean'] for name, row in found.items()}
  least, most = min(means, key=means.__getitem__), max(
      means, key=means.__getitem__)
  if least != most:
    seen.append(f"""At scale {last} the mean is from {means[least]:.2f}
                (`{least}`) to {means[most]:.2f} (`{most}`).""")
  if guidance.COMPOSED in found:
    row = found[guidance.COMPOSED]
    end = row[last]
    seen.append(f"""`composed` is within {doubts(row):.1f} standard errors of
                the mean and variance of the tilted law: at scale {last} its
                mean is {end['mean']:.3f} +/- {end['mean_noise']:.3f} and its
                variance {end['variance']:.4f} +/- {end['variance_noise']:.4f}.
                """)
  return [prose(texts[0]), tables.as_markdown(laws(rows)),
          prose(' '.join(seen))]


def restored(rows: Rows, section: str) -> tables.Table:
  """What restorers are off by, and whether they know it, on one kind of data.
  """

  def number(value: float | None, digits: str) -> str | None:
    return None if value is None else f'{value:{digits}}'

  def evidence(row: Row) -> str | None:
    return None if row['evidence'] is None else (
        f'{row["evidence"]:.4f} +/- {row["evidence_noise"]:.4f}')

  def spread(row: Row, axis: int) -> str:
    value, low, high = row['spread'][axis]
    return f'{value:.2f} ({low:.2f} to {high:.2f})'

  return tables.make_table(
      ['restorer', 'evaluations', tables.Column('mean', 'mean off by'),
       tables.Column('trace', 'variance ratio'), tables.Column('w2', 'W2'),
       tables.Column('evidence', 'log p(y) off by'),
       tables.Column('along', 'spread along'),
       tables.Column('across', 'spread across'),
       tables.Column('uniform', 'p of uniform ranks')],
      [(name, str(row['evaluations']), number(row['mean'], '.3f'),
        number(row['trace'], '.3f'), number(row['w2'], '.3f'), evidence(row),
        spread(row, ALONG), spread(row, ACROSS),
        ', '.join(f'{p:.1g}' if p >= 1e-4 else '< 1e-4'
                  for p in row['uniformity']))
       for (of, name), row in rows.items() if of == section])


def _setting() -> str:
  a, b = restoration.MATRIX[0]
  # Root of the standard deviation of a mean square of two entries.
  noise = (restoration.DRAWS * restoration.TRUTHS**0.5)**-0.5
  return prose(
      f"""Of points x of the plane y = ({a:g}, {b:g}) x + {
          restoration.NOISE_STD:g} z is measured. {restoration.TRUTHS} truths
      are restored {restoration.DRAWS} times each, and held against the exact
      posterior of their own y: root mean square error of the mean in standard
      deviations of the posterior, trace of the covariance over that of the
      posterior, W2 in its standard deviations where it is Gaussian, and mean
      error of log p(y) in nats with its standard error. The noise of the draws
      is taken off the means, of which {noise:.2f} cannot be told from 0. Spread
      is the variance of the truth in units of that of the draws, as ranks tell
      it, with its 95 % interval: 1 is right, more is
      over-confident, and {restoration.DRAWS} draws cannot tell more than 5; it
      is told along what is measured and across it, as is the probability of
      ranks as uneven, were they uniform. The process is `edm`, in {
          restoration.STEPS} steps: of DDPM for replacement and RePaint ({
          restoration.REPEATS} repeats), of DPM-Solver++ (2M) for DPS and PiGDM.
      That solver with E[x_0 | x_t, y] itself is the first row, which says what
      is owed to it. Replacement and RePaint take y to be without noise, and so
      draw a single point along what is measured. SMC has 4, 16 and 64
      particles. Evaluations are of the denoiser, a restoration, as counted;
      those of DPS, PiGDM and SMC are differentiated too.""")


def overconfident(rows: Rows, section: str, axis: int) -> list[str]:
  """Restorers whose whole interval of spread is above 1, of uneven ranks."""
  return [name for (of, name), row in rows.items()
          if of == section and Estimate(*row['spread'][axis]).low > 1
          and row['uniformity'][axis] < _SURE]


def calibrated(rows: Rows, section: str) -> list[str]:
  """Restorers that have 1 within both intervals, and ranks that may be uniform.
  """
  return [name for (of, name), row in rows.items()
          if of == section and min(row['uniformity']) >= _SURE
          and all(low <= 1 <= high for _, low, high in row['spread'])]


def same(rows: Rows, name: str) -> list[str]:
  """Sections where a restorer draws what the exact denoiser does."""
  found = []
  for section in restorations(rows):
    one, other = (rows.get((section, n)) for n in (name, restoration.EXACT))
    if one and other and all(abs(one[key] - other[key]) < _SAME
                             for key in ('mean', 'trace')):
      found.append(section)
  return found


def _seen(rows: Rows) -> list[str]:
  texts = []
  for section in restorations(rows):
    along, across = (overconfident(rows, section, axis)
                     for axis in (ALONG, ACROSS))
    fine = calibrated(rows, section)
    texts.append(
        f"""On {section.removeprefix('restoration of ')} {_are(along)}
        over-confident along what is measured, and {_are(across)} across it.
        As far as {restoration.TRUTHS} truths tell, {_are(fine)} calibrated
        both ways.""")
  if any(name == 'PiGDM' for _, name in rows):
    exact = [s.removeprefix('restoration of ') for s in same(rows, 'PiGDM')]
    texts.append(f"""PiGDM draws what the exact denoiser does of
                 {_listed(exact, '') or 'none of these data'}{
                     ', and of no other data here' if exact else ''}.""")
  return [prose(' '.join(texts))]


def _are(names: Sequence[str]) -> str:
  """With the verb."""
  return f'{_listed(names) or "none"} {"are" if len(names) > 1 else "is"}'


def _listed(names: Sequence[str], quote: str = '`') -> str:
  """`a`, `b` and `c`."""
  told = [f'{quote}{name}{quote}' for name in names]
  return ' and '.join([', '.join(told[:-1]), told[-1]] if told[1:] else told)


def prose(text: str) -> str:
  """A paragraph of 80 columns."""
  return textwrap.fill(' '.join(text.split()), 80, break_on_hyphens=False)
