"""Gaussians, drawn: moved, sampled, added, multiplied, sliced, updated.

  python -m experiments.gaussians --workdir=runs/gaussians
  python -m experiments.gaussians --means=0,3 --scales=2,0.5 \
      --correlation=-0.9 --workdir=runs/mine

Every curve is the library's, and what it is held to stands beside it in
metrics.json: the same number by quadrature, or by draws with its standard
error. In float64, so that it is the formulas that are checked. Figures in
figures/: moving.png, samples.png, sum_and_product.png, joint.png, bayes.png.
"""

import dataclasses
import math
import os
from typing import Any, NamedTuple

from absl import flags
import jax
import jax.numpy as jnp
import numpy as np

from experiments import app
from experiments import flags as shared
from experiments.gaussian_checks import Check
from experiments.gaussian_checks import correlation_from_draws
from experiments.gaussian_checks import from_draws
from experiments.gaussian_checks import moments
from experiments.gaussian_checks import quadrature
from experiments.gaussian_checks import table
from genjax.distributions import gaussian
from genjax.distributions.conjugate import normal_normal
from genjax.distributions.continuous import normal
from genjax.distributions.continuous import NormalParams
from genjax.distributions.gaussian import GaussianParams
from genjax.distributions.multivariate import multivariate_normal
from genjax.runs import fields
from genjax.runs import keys
from genjax.runs.settings import check_settings
from genjax.runs.settings import setting
from genjax.runs.workdir import create_or_check
from genjax.runs.workdir import write_json
from genjax.types import Array
from genjax.viz import figures
from genjax.viz import panels
from genjax.viz.panels import Layer
from genjax.viz.panels import Panel

_LARGEST = 1000.0  # of a mean or a scale; 1 / _LARGEST is the smallest scale
_DRAWN = 3000  # points of a cloud
_OBSERVATIONS = (0, 1, 4, 16, 64)
_X1, _X2 = '$x_1$', '$x_2$'


class Page(NamedTuple):
  """What a run is about: two Gaussians, their joint, and draws."""

  means: tuple[float, ...]  # of x_1 and x_2
  scales: tuple[float, ...]
  joint: GaussianParams  # of (x_1, x_2), correlated
  observed: float  # of x_2, and of a measurement
  eps: np.ndarray  # [N, 2], standard Gaussian
  noise: np.ndarray  # [M + 1], likewise


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


def define_flags() -> None:
  """The script's flags."""
  shared.define_run('Folder where everything is written.')
  shared.define_settings(Settings)


def open_page(settings: Settings) -> Page:
  """The Gaussians of settings, and draws for them."""
  means, scales = settings.means, settings.scales
  observed = (means[1] + scales[1] if settings.observed is None
              else settings.observed)
  cross = settings.correlation * scales[0] * scales[1]
  cov = [[scales[0]**2, cross], [cross, scales[1]**2]]
  key_eps, key_noise = jax.random.split(
      keys.key(settings.seed, 'sample'))
  unit = NormalParams(jnp.zeros(()), jnp.ones(()))
  return Page(
      means, scales,
      GaussianParams(jnp.array(means), jnp.array(cov)), observed,
      np.asarray(normal.sample(key_eps, unit, (settings.num_draws, 2))),
      np.asarray(normal.sample(key_noise, unit, (_OBSERVATIONS[-1] + 1,))))


def on_line(mean: float, scale: float) -> GaussianParams:
  """A Gaussian on one axis."""
  return GaussianParams(jnp.array([mean]), jnp.array([[scale**2]]))


def mean_and_scale(params: GaussianParams) -> tuple[float, float]:
  """Of a Gaussian on one axis."""
  return float(params.mean[0]), math.sqrt(params.cov[0, 0])


@jax.jit
def log_density(params: GaussianParams, x: Array) -> Array:
  """Nats [*] of points [*, D]."""
  return multivariate_normal.log_prob(
      gaussian.to_multivariate_normal(params), x)


def _curve(law: tuple[float, float], label: str, color: Any) -> Layer:
  """The density of mean and scale, over its own 4 standard deviations."""
  mean, scale = law
  x = mean + scale * jnp.linspace(-4, 4, 201)
  return Layer('line', np.asarray(x),
               np.exp(log_density(on_line(mean, scale), x[:, None])), label,
               color)


def _name(law: tuple[float, float]) -> str:
  return f'N({law[0]:.4g}, {law[1]:.4g}$^2$)'


def draw_moving(page: Page, path: str) -> list[Check]:
  """Draws densities of several means, and of several standard deviations."""
  mean, scale = page.means[0], page.scales[0]
  moved = [mean + k * scale for k in (-2, -1, 0, 1, 2)]
  widened = [k * scale for k in (0.5, 1, 1.5, 2)]
  shades = figures.shades(5)
  panels.save_panels(path, [[
      Panel(f'moving mean, $\\sigma$ = {scale:.4g}', 'x', 'density', [
          _curve((m, scale), f'$\\mu$ = {m:.4g}', shade)
          for m, shade in zip(moved, shades)]),
      Panel(f'moving variance, $\\mu$ = {mean:.4g}', 'x', 'density', [
          _curve((mean, s), f'$\\sigma^2$ = {s**2:.4g}', shade)
          for s, shade in zip(widened, shades)])]], height=3.4)
  checks = []
  for law in ((mean, scale), (moved[-1], scale), (mean, widened[-1])):
    log_z, *found = quadrature(
        lambda x: log_density(on_line(*law), x[:, None]), *law)
    name = f'N({law[0]:.4g}, {law[1]:.4g}^2)'
    checks += [Check(f'{name}: area', 1.0, math.exp(log_z), 'quadrature'),
               *moments(name, law, found, 'quadrature')]
  return checks


def correlated(page: Page, eps: np.ndarray) -> np.ndarray:
  """mu + L eps [N, 2] of eps [N, 2], L L^T the joint's covariance."""
  loc, scale_tril = gaussian.to_multivariate_normal(page.joint)
  return np.asarray(loc + eps @ scale_tril.T)


def draw_samples(page: Page, path: str) -> list[Check]:
  """Draws standard Gaussian eps, and mu + sigma eps, on one and two axes."""
  law, eps = (page.means[0], page.scales[0]), page.eps
  x, points = law[0] + law[1] * eps[:, 0], correlated(page, eps)
  angle = np.linspace(0, 2 * np.pi, 200)
  circle = np.stack([np.cos(angle), np.sin(angle)], -1)

  def histogram(x, law):
    return [Layer('histogram', x, None, 'draws', figures.GREY),
            _curve(law, _name(law), figures.BLUE)]

  def cloud(transform):
    dots, near, far = (
        transform(e).T for e in (eps[:_DRAWN], circle, 2 * circle))
    return [Layer('dots', dots[0], dots[1], color=figures.GREY),
            Layer('line', near[0], near[1], '1 and 2 standard deviations'),
            Layer('line', far[0], far[1])]

  panels.save_panels(path, [
      [Panel('noise $\\varepsilon$', '$\\varepsilon$', 'density',
             histogram(eps[:, 0], (0.0, 1.0))),
       Panel('$x = \\mu + \\sigma\\varepsilon$', 'x', 'density',
             histogram(x, law))],
      [Panel('noise on two axes', '$\\varepsilon_1$', '$\\varepsilon_2$',
             cloud(lambda e: e), equal=True),
       Panel('$x = \\mu + L\\varepsilon$, with $L L^T$ the covariance',
             _X1, _X2, cloud(lambda e: correlated(page, e)))]], height=3.4)
  loc, scale_tril = gaussian.to_multivariate_normal(page.joint)
  mapped = gaussian.affine(
      GaussianParams(jnp.zeros(2), jnp.eye(2)), scale_tril, loc)
  return [
      *from_draws('mu + sigma eps', law, x),
      *(check for i, name in enumerate(('x_1', 'x_2'))
        for check in from_draws(
            f'mu + L eps, {name}',
            mean_and_scale(gaussian.marginal(mapped, (i,))),
            points[:, i])),
      correlation_from_draws('mu + L eps: correlation', float(
          mapped.cov[0, 1] / jnp.sqrt(jnp.prod(jnp.diag(mapped.cov)))),
                             points)]


def draw_sum_and_product(page: Page, path: str) -> list[Check]:
  """Draws the law of x_1 + x_2, independent, and the product of densities."""
  laws = list(zip(page.means, page.scales))
  p, q = (on_line(*law) for law in laws)
  total = mean_and_scale(gaussian.add(p, q))
  params, log_z = gaussian.product(p, q)
  product = mean_and_scale(params)
  x = (np.array(page.means) + np.array(page.scales) * page.eps).sum(1)

  def log_product(x):
    return log_density(p, x[:, None]) + log_density(q, x[:, None])

  two = [_curve(laws[0], '$p_1$', figures.BLUE),
         _curve(laws[1], '$p_2$', figures.ORANGE)]
  normalised = _curve(product, _name(product), figures.GREEN)
  panels.save_panels(path, [[
      Panel('sum of independent draws', 'x', 'density', [
          Layer('histogram', x, None, '$x_1 + x_2$, draws', figures.GREY),
          *two, _curve(total, _name(total), figures.GREEN)]),
      Panel('product of densities', 'x', 'density', [
          *two, normalised, normalised._replace(
              kind='dashed', y=np.exp(log_product(normalised.x)),
              label=f'$p_1 p_2$, area Z = {math.exp(log_z):.3g}')])]],
      height=3.6)
  found_z, *found = quadrature(log_product, *product)
  return [
      *from_draws('x_1 + x_2', total, x),
      Check('p_1 p_2: log Z', float(log_z), found_z, 'quadrature'),
      *moments('p_1 p_2 / Z', product, found, 'quadrature')]


def draw_joint(page: Page, path: str) -> list[Check]:
  """Draws the joint density, its marginals and a slice across it."""
  known, joint = page.observed, page.joint
  marginals = [mean_and_scale(gaussian.marginal(joint, (i,))) for i in (0, 1)]
  sliced = mean_and_scale(
      gaussian.conditional(joint, (1,), jnp.array([known])))
  reach = 3.5 * np.array(page.scales)
  low = np.minimum(page.means - reach, [sliced[0] - 3 * sliced[1], known])
  high = np.maximum(page.means + reach, [sliced[0] + 3 * sliced[1], known])
  x1, x2 = np.linspace(low, high, 200).T
  density = np.exp(log_density(
      joint, jnp.stack(jnp.meshgrid(x1, x2), -1)))
  peak = math.exp(log_density(joint, joint.mean))
  points = correlated(page, page.eps)
  panels.save_joint(path, panels.Joint(
      x1, x2, density, peak * np.exp(-0.5 * np.array([3, 2, 1])**2),
      points[:_DRAWN], known, [
          Layer('histogram', points[:, 0], color=figures.GREY),
          _curve(marginals[0], '$p(x_1)$', figures.BLUE),
          _curve(sliced, f'$p(x_1 \\mid x_2 = {known:.4g})$',
                 figures.ORANGE)], [
          Layer('histogram', points[:, 1], color=figures.GREY),
          _curve(marginals[1], '$p(x_2)$', figures.BLUE)]), (_X1, _X2))

  at = page.means[0] + page.scales[0]
  given = mean_and_scale(gaussian.conditional(joint, (0,), jnp.array([at])))
  summed, *_ = quadrature(lambda x: log_density(
      joint, jnp.stack([jnp.full_like(x, at), x], -1)), *given)
  _, *found = quadrature(lambda x: log_density(
      joint, jnp.stack([x, jnp.full_like(x, known)], -1)), *sliced)
  return [
      Check(f'log p(x_1 = {at:.4g})', float(log_density(
          on_line(*marginals[0]), jnp.array([at]))), summed, 'quadrature'),
      *moments(f'x_1 given x_2 = {known:.4g}', sliced, found, 'quadrature')]


def draw_bayes(page: Page, path: str) -> list[Check]:
  """Draws prior, likelihood, posterior, and posteriors as data come in."""
  law, noise_scale = (page.means[0], page.scales[0]), page.scales[1]
  prior, y = on_line(*law), page.observed
  params, evidence = gaussian.posterior(
      prior, jnp.eye(1), jnp.zeros(1), on_line(0.0, noise_scale).cov,
      jnp.array([y]))
  posterior = mean_and_scale(params)

  truth = law[0] + law[1] * page.noise[0]
  data = jnp.asarray(truth + noise_scale * page.noise[1:])
  learner = normal_normal(noise_scale)
  start = NormalParams(jnp.array(law[0]), jnp.array(law[1]))
  beliefs = [learner.posterior(start, data[:n]) for n in _OBSERVATIONS]
  learned = [(float(belief.loc), float(belief.scale)) for belief in beliefs]
  curves = [_curve(belief, f'n = {n}', shade) for n, belief, shade in zip(
      _OBSERVATIONS, learned, figures.shades(len(learned)))]
  top = 1 / (math.sqrt(2 * math.pi) * learned[-1][1])
  panels.save_panels(path, [[
      Panel(f'one observation y = {y:.4g}, noise {noise_scale:.4g}',
            '$\\theta$', 'density', [
                _curve(law, 'prior', figures.GREY),
                _curve((y, noise_scale), 'likelihood $p(y \\mid \\theta)$',
                       figures.ORANGE),
                _curve(posterior, f'posterior {_name(posterior)}',
                       figures.BLUE)]),
      Panel('posterior after n observations', '$\\theta$', 'density', [
          *curves,
          Layer('dashed', np.full(2, truth), np.array([0, top]),
                f'true $\\theta$ = {truth:.4g}', 'black')])]], height=3.6)

  def log_joint(theta, data):
    terms = normal.log_prob(
        NormalParams(theta, jnp.array(noise_scale)), data[:, None])
    return log_density(prior, theta[:, None]) + terms.sum(0)

  checks = []
  for name, belief, nats, seen in (
      ('one observation', posterior, evidence, jnp.array([y])),
      (f'{len(data)} observations', learned[-1],
       learner.log_evidence(start, data), data)):
    log_z, *found = quadrature(lambda t: log_joint(t, seen), *belief)
    checks += [Check(f'{name}: log evidence', float(nats), log_z, 'quadrature'),
               *moments(f'{name}: posterior', belief, found, 'quadrature')]
  return checks


FIGURES = {
    'moving': draw_moving,
    'samples': draw_samples,
    'sum_and_product': draw_sum_and_product,
    'joint': draw_joint,
    'bayes': draw_bayes,
}


def main() -> None:
  values, settings = flags.FLAGS, Settings(**shared.chosen(Settings))
  check_settings(settings)
  create_or_check(values.workdir, 'gaussians', settings)
  with jax.enable_x64(True):
    page = open_page(settings)
    paths = {name: os.path.join(values.workdir, 'figures', f'{name}.png')
             for name in FIGURES}
    checks = [check for name, draw in FIGURES.items()
              for check in draw(page, paths[name])]
  write_json(os.path.join(values.workdir, 'metrics.json'),
                    [check._asdict() for check in checks])
  print(f'{table(checks)}\n\nwrote {", ".join(paths.values())}')


if __name__ == '__main__':
  define_flags()
  app.run(main)
