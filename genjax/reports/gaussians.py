"""Gaussians, drawn: moved, sampled, added, multiplied, sliced, updated.

Every curve is the library's, and every number stands beside the same one by
quadrature or by draws. In float64, so that it is the formulas that are checked.
"""

import dataclasses
import math
import os
from typing import Any, Callable, Mapping, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from genjax import distributions as d
from genjax.distributions import gaussian
from genjax.distributions.conjugate import normal_normal
from genjax.distributions.gaussian import GaussianParams
from genjax.files import write_json
from genjax.numerics import quadrature
from genjax.reports import table as tables
from genjax.runs import fields
from genjax.runs import keys
from genjax.runs.settings import setting
from genjax.types import Array
from genjax.viz import figures
from genjax.viz import panels
from genjax.viz.panels import Layer

_LARGEST = 1000.0  # of a mean or a scale; 1 / _LARGEST is the smallest scale
_DRAWN = 3000  # points of a cloud
_OBSERVATIONS = (0, 1, 4, 16, 64)
_AXES = '$x_1$', '$x_2$'
_COLORS = (figures.BLUE, figures.ORANGE, figures.GREEN)

Row = tuple[tables.Cell, ...]
LogDensity = Callable[[Array], Array]  # x [N] -> nats [N]


@dataclasses.dataclass(frozen=True)
class Settings:
  """Of the two Gaussians x_1 and x_2, and what is seen of them."""

  means: tuple[float, ...] = setting(
      (-0.5, 1.0), low=-_LARGEST, high=_LARGEST, lengths=(2, 2),
      help='Means of the two Gaussians x_1 and x_2.')
  scales: tuple[float, ...] = setting(
      (1.0, 0.6), low=1 / _LARGEST, high=_LARGEST, lengths=(2, 2),
      help='Standard deviations of x_1 and x_2.')
  correlation: float = setting(
      0.7, low=-0.999, high=0.999,
      help='Correlation of x_1 and x_2 where they are drawn jointly.')
  observed: float | None = setting(
      None, low=-2 * _LARGEST, high=2 * _LARGEST, help='Value of x_2 that is '
      'known; absent, 1 standard deviation above its mean.')
  num_draws: int = setting(20_000, low=100, high=1_000_000,
                           help='Number of draws in every sample.')
  seed: int = fields.seed()


class Page(NamedTuple):
  """What a report is about: two Gaussians, their joint, and draws."""

  first: GaussianParams  # of x_1, on one axis
  second: GaussianParams  # of x_2
  joint: GaussianParams  # of (x_1, x_2), correlated
  observed: float  # of x_2, and of a measurement
  eps: np.ndarray  # [N, 2], standard Gaussian
  noise: np.ndarray  # [M + 1], likewise


def _open_page(settings: Settings) -> Page:
  first, second = zip(settings.means, settings.scales)
  scale_1, scale_2 = settings.scales
  cross = settings.correlation * scale_1 * scale_2
  joint = GaussianParams(
      jnp.array(settings.means),
      jnp.array([[scale_1**2, cross], [cross, scale_2**2]]))
  key_eps, key_noise = jax.random.split(keys.key(settings.seed, 'sample'))
  return Page(
      _line(*first), _line(*second), joint,
      sum(second) if settings.observed is None else settings.observed,
      np.asarray(jax.random.normal(key_eps, (settings.num_draws, 2))),
      np.asarray(jax.random.normal(key_noise, (_OBSERVATIONS[-1] + 1,))))


def _line(mean: float, scale: float) -> GaussianParams:
  """A Gaussian on one axis."""
  return GaussianParams(jnp.array([mean]), jnp.array([[scale**2]]))


def _moments(law: GaussianParams) -> tuple[float, float]:
  """Mean and standard deviation of a Gaussian on one axis."""
  return float(law.mean[0]), math.sqrt(law.cov[0, 0])


@jax.jit
def _log_density(law: GaussianParams, *x: Array | float) -> Array:
  """Nats [*] of the coordinates [*] of points, one array an axis."""
  return d.multivariate_normal.log_prob(
      gaussian.to_multivariate_normal(law),
      jnp.stack(jnp.broadcast_arrays(*x), -1))


def _affine(law: GaussianParams, eps: np.ndarray) -> np.ndarray:
  """mu + L eps [N, 2] of eps [N, 2], L L^T the covariance."""
  loc, scale_tril = gaussian.to_multivariate_normal(law)
  return np.asarray(loc + eps @ scale_tril.T)


def _row(
    quantity: str, value: float, found: float, error: float | None = None
) -> Row:
  """A number beside another: by quadrature, or by draws with an `error`."""
  off = abs(found - value)
  return (quantity, value, found, error,
          'quadrature' if error is None else 'draws', off,
          None if error is None else off / error)


def _rows(name: str, law: GaussianParams, *found: Any) -> list[Row]:
  """Mean and standard deviation, each with what `_row` takes of it."""
  return [_row(f'{name}: {what}', *row) for what, *row in zip(
      ('mean', 'standard deviation'), _moments(law), *found)]


def _by_quadrature(
    name: str, law: GaussianParams, log_density: LogDensity
) -> tuple[float, list[Row]]:
  """Log integral of a density, and rows of the law that it should have."""
  log_z, *found = quadrature(log_density, *_moments(law))
  return log_z, _rows(name, law, found)


def _by_draws(name: str, law: GaussianParams, x: np.ndarray) -> list[Row]:
  """Rows of a law, of which x [N] are draws."""
  error = _moments(law)[1] / math.sqrt(len(x))
  return _rows(name, law, (float(x.mean()), float(x.std())),
               (error, error / math.sqrt(2)))


def _name(law: GaussianParams) -> str:
  mean, scale = _moments(law)
  return f'N({mean:.4g}, {scale:.4g}$^2$)'


def _layers(
    laws: Mapping[str, GaussianParams], colors: Any = _COLORS,
    draws: np.ndarray | None = None, label: str | None = None
) -> list[Layer]:
  """Densities by their labels, over 4 standard deviations; draws behind."""
  layers = [] if draws is None else [
      Layer('histogram', draws, None, label, figures.GREY)]
  for (name, law), color in zip(laws.items(), colors):
    mean, scale = _moments(law)
    x = mean + scale * np.linspace(-4, 4, 201)
    layers.append(
        Layer('line', x, np.exp(_log_density(law, x)), name, color))
  return layers


def _panel(title: str, layers: list[Layer], x_label: str = 'x') -> panels.Panel:
  return panels.Panel(title, x_label, 'density', layers)


def _moving(page: Page, path: str) -> list[Row]:
  """Densities of several means, and of several standard deviations."""
  mean, scale = _moments(page.first)
  moved = {f'$\\mu$ = {m:.4g}': _line(m, scale)
           for m in (mean + k * scale for k in (-2, -1, 0, 1, 2))}
  widened = {f'$\\sigma^2$ = {s**2:.4g}': _line(mean, s)
             for s in (k * scale for k in (0.5, 1, 1.5, 2))}
  panels.save_panels(path, [[
      _panel(f'moving mean, $\\sigma$ = {scale:.4g}',
             _layers(moved, figures.shades(5))),
      _panel(f'moving variance, $\\mu$ = {mean:.4g}',
             _layers(widened, figures.shades(5)))]], height=3.4)
  rows = []
  for law in (page.first, [*moved.values()][-1], [*widened.values()][-1]):
    name = _name(law).replace('$', '')
    log_z, found = _by_quadrature(name, law, lambda x: _log_density(law, x))
    rows += [_row(f'{name}: area', 1.0, math.exp(log_z)), *found]
  return rows


def _cloud(law: GaussianParams, eps: np.ndarray) -> list[Layer]:
  """Draws mu + L eps, and what L makes of circles of radius 1 and 2."""
  angle = np.linspace(0, 2 * np.pi, 200)
  circle = np.stack([np.cos(angle), np.sin(angle)], -1)
  dots, near, far = (
      _affine(law, e).T for e in (eps[:_DRAWN], circle, 2 * circle))
  return [Layer('dots', dots[0], dots[1], None, figures.GREY),
          Layer('line', near[0], near[1], '1 and 2 standard deviations'),
          Layer('line', far[0], far[1])]


def _samples(page: Page, path: str) -> list[Row]:
  """Standard Gaussian eps, and mu + sigma eps, on one and on two axes."""
  law, eps, unit = page.first, page.eps, _line(0.0, 1.0)
  mean, scale = _moments(law)
  x, points = mean + scale * eps[:, 0], _affine(page.joint, eps)
  standard = GaussianParams(jnp.zeros(2), jnp.eye(2))
  panels.save_panels(path, [
      [_panel('noise $\\varepsilon$', _layers(
          {_name(unit): unit}, draws=eps[:, 0], label='draws'),
              '$\\varepsilon$'),
       _panel('$x = \\mu + \\sigma\\varepsilon$', _layers(
           {_name(law): law}, draws=x, label='draws'))],
      [panels.Panel('noise on two axes', '$\\varepsilon_1$',
                    '$\\varepsilon_2$', _cloud(standard, eps), equal=True),
       panels.Panel('$x = \\mu + L\\varepsilon$, with $L L^T$ the covariance',
                    *_AXES, _cloud(page.joint, eps))]], height=3.4)
  loc, scale_tril = gaussian.to_multivariate_normal(page.joint)
  mapped = gaussian.affine(standard, scale_tril, loc)
  rho = float(mapped.cov[0, 1] / jnp.sqrt(jnp.prod(jnp.diag(mapped.cov))))
  return [
      *_by_draws('mu + sigma eps', law, x),
      *(row for i, name in enumerate(('x_1', 'x_2')) for row in _by_draws(
          f'mu + L eps, {name}', gaussian.marginal(mapped, (i,)),
          points[:, i])),
      _row('mu + L eps: correlation', rho,
           float(np.corrcoef(points.T)[0, 1]),
           (1 - rho**2) / math.sqrt(len(points)))]


def _sum_and_product(page: Page, path: str) -> list[Row]:
  """The law of x_1 + x_2, independent, and the product of densities."""
  p, q = page.first, page.second
  total = gaussian.add(p, q)
  product, log_z = gaussian.product(p, q)
  x = np.asarray(sum(mean + scale * eps for (mean, scale), eps in zip(
      map(_moments, (p, q)), page.eps.T)))

  def log_product(x):
    return _log_density(p, x) + _log_density(q, x)

  two = {'$p_1$': p, '$p_2$': q}
  curves = _layers({**two, _name(product): product})
  panels.save_panels(path, [[
      _panel('sum of independent draws', _layers(
          {**two, _name(total): total}, draws=x, label='$x_1 + x_2$, draws')),
      _panel('product of densities', [*curves, curves[-1]._replace(
          kind='dashed', y=np.exp(log_product(curves[-1].x)),
          label=f'$p_1 p_2$, area Z = {math.exp(log_z):.3g}')])]], height=3.6)
  found_z, rows = _by_quadrature('p_1 p_2 / Z', product, log_product)
  return [*_by_draws('x_1 + x_2', total, x),
          _row('p_1 p_2: log Z', float(log_z), found_z), *rows]


def _joint(page: Page, path: str) -> list[Row]:
  """The joint density, its marginals and a slice across it."""
  known, joint = page.observed, page.joint
  first, second = (gaussian.marginal(joint, (i,)) for i in (0, 1))
  sliced = gaussian.conditional(joint, (1,), jnp.array([known]))
  # All of the joint, and all of the slice, which may be far from it.
  x1, x2 = (np.linspace(min(mean - 3.5 * scale, at - 3 * half),
                        max(mean + 3.5 * scale, at + 3 * half), 200)
            for (mean, scale), (at, half) in (
                (_moments(first), _moments(sliced)),
                (_moments(second), (known, 0.0))))
  peak = math.exp(_log_density(joint, *joint.mean))
  points = _affine(joint, page.eps)
  panels.save_joint(path, panels.Joint(
      x1, x2, np.exp(_log_density(joint, x1, x2[:, None])),
      peak * np.exp(-0.5 * np.array([3, 2, 1])**2), points[:_DRAWN], known,
      _layers({'$p(x_1)$': first, f'$p(x_1 \\mid x_2 = {known:.4g})$': sliced},
              draws=points[:, 0]),
      _layers({'$p(x_2)$': second}, draws=points[:, 1])), _AXES)

  at = sum(_moments(page.first))  # 1 standard deviation above the mean
  given = gaussian.conditional(joint, (0,), jnp.array([at]))
  log_p, _ = _by_quadrature('', given, lambda x: _log_density(joint, at, x))
  _, rows = _by_quadrature(f'x_1 given x_2 = {known:.4g}', sliced,
                           lambda x: _log_density(joint, x, known))
  return [_row(f'log p(x_1 = {at:.4g})', float(_log_density(first, at)),
               log_p), *rows]


def _bayes(page: Page, path: str) -> list[Row]:
  """Prior, likelihood, posterior, and posteriors as data come in."""
  law, y, (_, scale) = page.first, page.observed, _moments(page.second)
  posterior, evidence = gaussian.posterior(
      law, jnp.eye(1), jnp.zeros(1), jnp.array([[scale**2]]), jnp.array([y]))
  mean, spread = _moments(law)
  truth = mean + spread * page.noise[0]
  data = jnp.asarray(truth + scale * page.noise[1:])
  learner = normal_normal(scale)
  prior = d.NormalParams(jnp.array(mean), jnp.array(spread))
  learned = {f'n = {n}': _line(*map(float, learner.posterior(
      prior, data[:n]))) for n in _OBSERVATIONS}
  last = learned[f'n = {len(data)}']
  top = math.exp(_log_density(last, *last.mean))
  panels.save_panels(path, [[
      _panel(f'one observation y = {y:.4g}, noise {scale:.4g}', _layers({
          'prior': law, 'likelihood $p(y \\mid \\theta)$': _line(y, scale),
          f'posterior {_name(posterior)}': posterior},
          (figures.GREY, figures.ORANGE, figures.BLUE)), '$\\theta$'),
      _panel('posterior after n observations', [
          *_layers(learned, figures.shades(5)),
          Layer('dashed', np.full(2, truth), np.array([0, top]),
                f'true $\\theta$ = {truth:.4g}', 'black')], '$\\theta$')]],
                     height=3.6)
  rows = []
  for name, belief, nats, seen in (
      ('one observation', posterior, evidence, jnp.array([y])),
      (f'{len(data)} observations', last, learner.log_evidence(prior, data),
       data)):
    log_z, found = _by_quadrature(
        f'{name}: posterior', belief,
        lambda theta: _log_density(law, theta) + d.normal.log_prob(
            d.NormalParams(theta, jnp.array(scale)), seen[:, None]).sum(0))
    rows += [_row(f'{name}: log evidence', float(nats), log_z), *found]
  return rows


# Name of a figure -> what writes it to a path, and returns its numbers.
FIGURES = {'moving': _moving, 'samples': _samples,
           'sum_and_product': _sum_and_product, 'joint': _joint,
           'bayes': _bayes}


def report(settings: Settings, workdir: str) -> tables.Table:
  """Writes report.json and FIGURES; a row a number that was found twice."""
  with jax.enable_x64(True):
    page = _open_page(settings)
    rows = [row for name, draw in FIGURES.items() for row in draw(
        page, os.path.join(workdir, 'figures', f'{name}.png'))]
  table = tables.make_table([
      'quantity', tables.Column('value', 'library', '.6g'),
      tables.Column('found', digits='.6g'),
      tables.Column('standard_error', '+/-', '.2g'), 'by',
      tables.Column('off_by', 'off by', '.1e'),
      tables.Column('standard_errors', 'standard errors', '.2f')], rows)
  write_json(os.path.join(workdir, 'report.json'),
             {'numbers': tables.as_json(table)})
  return table
