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
from scipy import special

from genjax import distributions as d
from genjax.distributions import gaussian
from genjax.distributions.conjugate import normal_normal
from genjax.distributions.gaussian import GaussianParams
from genjax.reports import table as tables
from genjax.runs import fields
from genjax.runs import keys
from genjax.runs.settings import setting
from genjax.runs.workdir import write_json
from genjax.types import Array
from genjax.viz import figures
from genjax.viz import panels
from genjax.viz.panels import Layer

_LARGEST = 1000.0  # of a mean or a scale; 1 / _LARGEST is the smallest scale
_DRAWN = 3000  # points of a cloud
_OBSERVATIONS = (0, 1, 4, 16, 64)
_X1, _X2 = '$x_1$', '$x_2$'
_COLORS = (figures.BLUE, figures.ORANGE, figures.GREEN)

Row = tuple[tables.Cell, ...]


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


class Moments(NamedTuple):
  """Of a law on the line, often a Gaussian."""

  mean: float
  scale: float  # standard deviation


class Page(NamedTuple):
  """What a report is about: two Gaussians, their joint, and draws."""

  first: Moments  # of x_1
  second: Moments  # of x_2
  joint: GaussianParams  # of (x_1, x_2), correlated
  observed: float  # of x_2, and of a measurement
  eps: np.ndarray  # [N, 2], standard Gaussian
  noise: np.ndarray  # [M + 1], likewise


def _open_page(settings: Settings) -> Page:
  first, second = map(Moments, settings.means, settings.scales)
  cross = settings.correlation * first.scale * second.scale
  cov = [[first.scale**2, cross], [cross, second.scale**2]]
  unit = d.NormalParams(jnp.zeros(()), jnp.ones(()))
  eps, noise = (np.asarray(d.normal.sample(key, unit, shape))
                for key, shape in zip(
                    jax.random.split(keys.key(settings.seed, 'sample')),
                    ((settings.num_draws, 2), (_OBSERVATIONS[-1] + 1,))))
  return Page(
      first, second, GaussianParams(jnp.array(settings.means), jnp.array(cov)),
      sum(second) if settings.observed is None else settings.observed, eps,
      noise)


def _on_line(law: Moments) -> GaussianParams:
  return GaussianParams(jnp.array([law.mean]), jnp.array([[law.scale**2]]))


def _moments(params: GaussianParams, axis: int = 0) -> Moments:
  mean, cov = gaussian.marginal(params, (axis,))
  return Moments(float(mean[0]), math.sqrt(cov[0, 0]))


@jax.jit
def _log_density(params: GaussianParams, *x: Array | float) -> Array:
  """Nats [*] of the coordinates [*] of points, one array an axis."""
  return d.multivariate_normal.log_prob(
      gaussian.to_multivariate_normal(params),
      jnp.stack(jnp.broadcast_arrays(*x), -1))


def _affine(law: GaussianParams, eps: np.ndarray) -> np.ndarray:
  """mu + L eps [N, 2] of eps [N, 2], L L^T the covariance."""
  loc, scale_tril = gaussian.to_multivariate_normal(law)
  return np.asarray(loc + eps @ scale_tril.T)


def quadrature(
    log_density: Callable[[Array], Array], near: Moments
) -> tuple[float, Moments]:
  """Log integral and moments of a density x [N] -> nats [N] on the line.

  By the trapezoidal rule to 12 standard deviations around the mean of `near`,
  where for anything Gaussian it is exact to rounding; in logs, so that nothing
  underflows.
  """
  z, step = np.linspace(-12, 12, 2001, retstep=True)
  x = near.mean + near.scale * z
  nats = np.asarray(log_density(jnp.asarray(x)))
  weights = special.softmax(nats)
  mean = float(weights @ x)
  return (float(special.logsumexp(nats) + math.log(near.scale * step)),
          Moments(mean, math.sqrt(weights @ (x - mean)**2)))


def _row(
    quantity: str, value: float, found: float, error: float | None = None
) -> Row:
  """A number beside another: by quadrature, or by draws with an `error`."""
  off = abs(found - value)
  return (quantity, value, found, error,
          'quadrature' if error is None else 'draws', off,
          None if error is None else off / error)


def _by_quadrature(name: str, law: Moments, found: Moments) -> list[Row]:
  return [_row(f'{name}: mean', law.mean, found.mean),
          _row(f'{name}: standard deviation', law.scale, found.scale)]


def _by_draws(name: str, law: Moments, x: np.ndarray) -> list[Row]:
  error = law.scale / math.sqrt(len(x))
  return [_row(f'{name}: mean', law.mean, float(x.mean()), error),
          _row(f'{name}: standard deviation', law.scale, float(x.std()),
               error / math.sqrt(2))]


def _name(law: Moments) -> str:
  return f'N({law.mean:.4g}, {law.scale:.4g}$^2$)'


def _layers(
    laws: Mapping[str, Moments], colors: Any = _COLORS,
    draws: np.ndarray | None = None, label: str | None = None
) -> list[Layer]:
  """Densities by their labels, over 4 standard deviations; draws behind."""
  layers = [] if draws is None else [
      Layer('histogram', draws, None, label, figures.GREY)]
  for (name, law), color in zip(laws.items(), colors):
    x = law.mean + law.scale * jnp.linspace(-4, 4, 201)
    layers.append(Layer('line', np.asarray(x), np.exp(_log_density(
        _on_line(law), x)), name, color))
  return layers


def _panel(title: str, layers: list[Layer], x_label: str = 'x') -> panels.Panel:
  return panels.Panel(title, x_label, 'density', layers)


def _moving(page: Page, path: str) -> list[Row]:
  """Densities of several means, and of several standard deviations."""
  mean, scale = page.first
  moved = [Moments(mean + k * scale, scale) for k in (-2, -1, 0, 1, 2)]
  widened = [Moments(mean, k * scale) for k in (0.5, 1, 1.5, 2)]
  panels.save_panels(path, [[
      _panel(f'moving mean, $\\sigma$ = {scale:.4g}', _layers(
          {f'$\\mu$ = {law.mean:.4g}': law for law in moved},
          figures.shades(5))),
      _panel(f'moving variance, $\\mu$ = {mean:.4g}', _layers(
          {f'$\\sigma^2$ = {law.scale**2:.4g}': law for law in widened},
          figures.shades(5)))]], height=3.4)
  rows = []
  for law in (page.first, moved[-1], widened[-1]):
    name = _name(law).replace('$', '')
    log_z, found = quadrature(lambda x: _log_density(_on_line(law), x), law)
    rows += [_row(f'{name}: area', 1.0, math.exp(log_z)),
             *_by_quadrature(name, law, found)]
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
  law, eps = page.first, page.eps
  standard = GaussianParams(jnp.zeros(2), jnp.eye(2))
  x, points = law.mean + law.scale * eps[:, 0], _affine(page.joint, eps)
  unit = _moments(standard)
  panels.save_panels(path, [
      [_panel('noise $\\varepsilon$', _layers(
          {_name(unit): unit}, draws=eps[:, 0], label='draws'),
              '$\\varepsilon$'),
       _panel('$x = \\mu + \\sigma\\varepsilon$', _layers(
           {_name(law): law}, draws=x, label='draws'))],
      [panels.Panel('noise on two axes', '$\\varepsilon_1$',
                    '$\\varepsilon_2$', _cloud(standard, eps), equal=True),
       panels.Panel('$x = \\mu + L\\varepsilon$, with $L L^T$ the covariance',
                    _X1, _X2, _cloud(page.joint, eps))]], height=3.4)
  loc, scale_tril = gaussian.to_multivariate_normal(page.joint)
  mapped = gaussian.affine(standard, scale_tril, loc)
  correlation = float(
      mapped.cov[0, 1] / jnp.sqrt(jnp.prod(jnp.diag(mapped.cov))))
  return [
      *_by_draws('mu + sigma eps', law, x),
      *_by_draws('mu + L eps, x_1', _moments(mapped, 0), points[:, 0]),
      *_by_draws('mu + L eps, x_2', _moments(mapped, 1), points[:, 1]),
      _row('mu + L eps: correlation', correlation,
           float(np.corrcoef(points.T)[0, 1]),
           (1 - correlation**2) / math.sqrt(len(points)))]


def _sum_and_product(page: Page, path: str) -> list[Row]:
  """The law of x_1 + x_2, independent, and the product of densities."""
  p, q = _on_line(page.first), _on_line(page.second)
  total = _moments(gaussian.add(p, q))
  params, log_z = gaussian.product(p, q)
  product = _moments(params)
  x = np.asarray(sum(law.mean + law.scale * eps for law, eps in zip(
      (page.first, page.second), page.eps.T)))

  def log_product(x):
    return _log_density(p, x) + _log_density(q, x)

  two = {'$p_1$': page.first, '$p_2$': page.second}
  curves = _layers({**two, _name(product): product})
  panels.save_panels(path, [[
      _panel('sum of independent draws', _layers(
          {**two, _name(total): total}, draws=x, label='$x_1 + x_2$, draws')),
      _panel('product of densities', [*curves, curves[-1]._replace(
          kind='dashed', y=np.exp(log_product(curves[-1].x)),
          label=f'$p_1 p_2$, area Z = {math.exp(log_z):.3g}')])]], height=3.6)
  found_z, found = quadrature(log_product, product)
  return [*_by_draws('x_1 + x_2', total, x),
          _row('p_1 p_2: log Z', float(log_z), found_z),
          *_by_quadrature('p_1 p_2 / Z', product, found)]


def _joint(page: Page, path: str) -> list[Row]:
  """The joint density, its marginals and a slice across it."""
  known, joint = page.observed, page.joint
  first, second = _moments(joint, 0), _moments(joint, 1)
  sliced = _moments(gaussian.conditional(joint, (1,), jnp.array([known])))
  # All of the joint, and all of the slice, which may be far from it.
  x1, x2 = (np.linspace(min(mean - 3.5 * scale, at - 3 * half),
                        max(mean + 3.5 * scale, at + 3 * half), 200)
            for (mean, scale), (at, half) in (
                (page.first, sliced), (page.second, (known, 0))))
  peak = math.exp(_log_density(joint, *joint.mean))
  points = _affine(joint, page.eps)
  panels.save_joint(path, panels.Joint(
      x1, x2, np.exp(_log_density(joint, x1, x2[:, None])),
      peak * np.exp(-0.5 * np.array([3, 2, 1])**2), points[:_DRAWN], known,
      _layers({'$p(x_1)$': first, f'$p(x_1 \\mid x_2 = {known:.4g})$': sliced},
              draws=points[:, 0]),
      _layers({'$p(x_2)$': second}, draws=points[:, 1])), (_X1, _X2))

  at = sum(page.first)  # 1 standard deviation above the mean
  log_p, _ = quadrature(
      lambda x: _log_density(joint, at, x),
      _moments(gaussian.conditional(joint, (0,), jnp.array([at]))))
  _, found = quadrature(lambda x: _log_density(joint, x, known), sliced)
  return [_row(f'log p(x_1 = {at:.4g})',
               float(_log_density(_on_line(first), at)), log_p),
          *_by_quadrature(f'x_1 given x_2 = {known:.4g}', sliced, found)]


def _bayes(page: Page, path: str) -> list[Row]:
  """Prior, likelihood, posterior, and posteriors as data come in."""
  law, y, scale = page.first, page.observed, page.second.scale
  params, evidence = gaussian.posterior(
      _on_line(law), jnp.eye(1), jnp.zeros(1), jnp.array([[scale**2]]),
      jnp.array([y]))
  posterior = _moments(params)
  truth = law.mean + law.scale * page.noise[0]
  data = jnp.asarray(truth + scale * page.noise[1:])
  learner, prior = normal_normal(scale), d.NormalParams(*map(jnp.array, law))
  learned = [Moments(*map(float, learner.posterior(prior, data[:n])))
             for n in _OBSERVATIONS]
  top = 1 / (math.sqrt(2 * math.pi) * learned[-1].scale)
  panels.save_panels(path, [[
      _panel(f'one observation y = {y:.4g}, noise {scale:.4g}', _layers({
          'prior': law,
          'likelihood $p(y \\mid \\theta)$': Moments(y, scale),
          f'posterior {_name(posterior)}': posterior},
          (figures.GREY, figures.ORANGE, figures.BLUE)), '$\\theta$'),
      _panel('posterior after n observations', [
          *_layers({f'n = {n}': belief for n, belief in zip(
              _OBSERVATIONS, learned)}, figures.shades(5)),
          Layer('dashed', np.full(2, truth), np.array([0, top]),
                f'true $\\theta$ = {truth:.4g}', 'black')], '$\\theta$')]],
                     height=3.6)

  def log_joint(theta, data):
    nats = d.normal.log_prob(
        d.NormalParams(theta, jnp.array(scale)), data[:, None])
    return _log_density(_on_line(law), theta) + nats.sum(0)

  rows = []
  for name, belief, nats, seen in (
      ('one observation', posterior, evidence, jnp.array([y])),
      (f'{len(data)} observations', learned[-1],
       learner.log_evidence(prior, data), data)):
    log_z, found = quadrature(lambda theta: log_joint(theta, seen), belief)
    rows += [_row(f'{name}: log evidence', float(nats), log_z),
             *_by_quadrature(f'{name}: posterior', belief, found)]
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
