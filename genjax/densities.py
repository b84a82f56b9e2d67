"""Six models of the density of standardised points, and how they are fitted.

What a fit leaves open (components, cells, bandwidth) is chosen on the points
alone, most of which are fitted to and the rest judged by; they must come in
random order. Two of the models are trained, by their `loss_fn`.
"""

import functools
from typing import Any, Callable, Mapping, NamedTuple, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from genjax import energy
from genjax import mcmc
from genjax.checks import known
from genjax.distributions import fitting
from genjax.distributions import flow
from genjax.distributions import nonparametric
from genjax.distributions.base import Distribution
from genjax.distributions.base import LogProb
from genjax.distributions.base import Sample
from genjax.distributions.combinators import independent
from genjax.distributions.combinators import mixture
from genjax.distributions.combinators import MixtureParams
from genjax.distributions.continuous import normal
from genjax.distributions.continuous import NormalParams
from genjax.distributions.multivariate import multivariate_normal
from genjax.distributions.multivariate import MultivariateNormalParams
from genjax.distributions.nonparametric import HistogramParams
from genjax.distributions.nonparametric import KernelDensityParams
from genjax.networks.coupling import SplineCoupling
from genjax.networks.energy import EnergyMLP
from genjax.types import Array
from genjax.types import Key
from genjax.types import LossFn
from genjax.types import Params

MOST_CELLS = 2**16  # of a histogram

_COMPONENTS = (1, 2, 4, 8, 16, 32)
_BINS = (2, 4, 6, 8, 12, 16, 24, 32, 48, 64)
_MARGIN = 0.1  # of the histogram's box, as a share of the points' range
_PSEUDO_COUNT = 0.1
_BANDWIDTHS = tuple(1.25**-i for i in range(16))
_ENERGY = EnergyMLP(features=64)
_CONTRAST = 3  # steps of a chain of contrastive divergence
_KERNEL_DRAWS = 4096  # for log Z while training
_BOX, _NODES = 6.0, 384  # of the quadrature for log Z
_PARTICLES, _TEMPERATURES = 1000, 500  # of annealed importance sampling
_CHAIN = 200  # steps from a Gaussian to a draw of the energy model
_FLOW = SplineCoupling(bound=5.0)
_make_kernel = functools.partial(mcmc.hmc, step_size=0.1, num_leapfrog=5)


class Shape(NamedTuple):
  """What a model must know before it has params."""

  dim: int
  num_points: int  # that it is fitted to
  components: int  # of a mixture
  bins: int  # of a histogram, along each axis
  base: Sequence[float] | None  # see `_base_params`
  key: Key  # of the estimate of an energy's log Z


class Density(NamedTuple):
  """A model of standardised points."""

  init: Callable[[Key], Params]
  sample: Sample
  log_prob: LogProb  # of what `complete` makes of the params
  complete: Callable[[Params], Params] = lambda params: params
  # What is minimised in training, None of a model that is fitted otherwise; and
  # by which points that were not trained on judge it, given those that were.
  loss_fn: LossFn | None = None
  criterion: Callable[[Array], LossFn] | None = None


def _of(dist: Distribution, like: Callable[[], Params]) -> Density:
  return Density(lambda key: like(), dist.sample, dist.log_prob)


def _standard(dim: int) -> MultivariateNormalParams:
  return MultivariateNormalParams(jnp.zeros(dim), jnp.eye(dim))


def _gaussian(shape: Shape) -> Density:
  return _of(multivariate_normal, lambda: _standard(shape.dim))


def _mixture(shape: Shape) -> Density:
  num = shape.components
  return _of(mixture(multivariate_normal), lambda: MixtureParams(
      jnp.zeros(num), jax.tree.map(
          lambda x: jnp.broadcast_to(x, (num, *x.shape)),
          _standard(shape.dim))))


def _histogram(shape: Shape) -> Density:
  return _of(nonparametric.histogram, lambda: HistogramParams(
      jnp.zeros(shape.dim), jnp.ones(shape.dim),
      jnp.zeros((shape.bins,) * shape.dim)))


def _kernel_density(shape: Shape) -> Density:
  return _of(nonparametric.kernel_density, lambda: KernelDensityParams(
      jnp.zeros((shape.num_points, shape.dim)), jnp.ones(shape.dim)))


def _energy_of(variables: Params, x: Array) -> Array:
  return jnp.asarray(_ENERGY.apply(variables, x))


def _base_params(shape: Shape) -> MultivariateNormalParams:
  """A Gaussian about the points, where chains of an energy model start.

  `shape.base` holds the Cholesky factor of its covariance, row by row; it is
  N(0, I) where there is none.
  """
  loc, scale_tril = _standard(shape.dim)
  if shape.base is not None:
    scale_tril = jnp.array(shape.base).reshape(scale_tril.shape)
  return MultivariateNormalParams(loc, scale_tril)


def log_partition(
    shape: Shape, variables: Params
) -> tuple[Array, Array]:
  """log Z of the energy model in nats, and its error.

  By quadrature in one dimension and two, else by annealed importance sampling,
  whose error is a standard error.
  """
  if shape.dim <= 2:
    corner = jnp.full(shape.dim, _BOX)
    return energy.log_partition_quadrature(
        _energy_of, variables, -corner, corner, num_points=_NODES)
  return energy.log_partition_annealed(
      shape.key, _energy_of, multivariate_normal, variables,
      _base_params(shape), make_kernel=_make_kernel,
      betas=jnp.linspace(0, 1, _TEMPERATURES), num_samples=_PARTICLES)


def _energy(shape: Shape) -> Density:
  dist = energy.as_distribution(
      _energy_of, multivariate_normal, _base_params(shape),
      make_kernel=_make_kernel, num_steps=_CHAIN)

  def criterion(points):
    # Kernels at the points find the narrow modes that an overfitted energy has.
    kernels = nonparametric.fit_kernel_density(points)

    def loss_fn(variables, key, batch, context):
      del context
      log_z = energy.log_partition_importance(
          key, _energy_of, nonparametric.kernel_density, variables, kernels,
          num_samples=_KERNEL_DRAWS)
      return jnp.mean(_energy_of(variables, batch['x'])) + log_z.value, {}

    return loss_fn

  return Density(
      lambda key: _ENERGY.init(key, jnp.zeros((1, shape.dim))),
      lambda key, variables, shape=(): dist.sample(
          key, energy.EnergyParams(variables, jnp.zeros(())), shape),
      dist.log_prob,
      lambda variables: energy.EnergyParams(
          variables, log_partition(shape, variables)[0]),
      energy.make_contrastive_divergence(
          _energy_of, make_kernel=_make_kernel, num_steps=_CONTRAST),
      criterion)


def _flow(shape: Shape) -> Density:
  dim = shape.dim
  dist = flow.flow(_FLOW, independent(normal, 1),
                   NormalParams(jnp.zeros(dim), jnp.ones(dim)))
  loss_fn = fitting.maximum_likelihood(dist)
  return Density(
      lambda key: _FLOW.init(key, jnp.zeros((1, dim))), dist.sample,
      dist.log_prob, loss_fn=loss_fn, criterion=lambda points: loss_fn)


MODELS: Mapping[str, Callable[[Shape], Density]] = {
    'gaussian': _gaussian,
    'mixture': _mixture,
    'histogram': _histogram,
    'kde': _kernel_density,
    'energy': _energy,
    'flow': _flow,
}


class InUnit(NamedTuple):
  """A density of points in the unit of the data."""

  sample: Callable[[Key, tuple[int, ...]], Array]  # [*shape, D]
  log_prob: Callable[[Array], Array]  # x [..., D] -> nats [...]


def in_unit(
    density: Density, loc: np.ndarray, scale: np.ndarray
) -> Callable[[Params], InUnit]:
  """(params) -> the density of loc + scale z, of that of z.

  In float64 outside of what is compiled, as the points may lie far from the
  origin. What `complete` finds is found once, when it is first asked for.

  Args:
    density: of standardised points z.
    loc: float64 [D].
    scale: float64 [D].
  """
  draw = jax.jit(density.sample, static_argnums=2)
  score = jax.jit(density.log_prob)

  def of(params: Params) -> InUnit:

    @functools.cache
    def whole() -> Params:
      with jax.ensure_compile_time_eval():
        return jax.jit(density.complete)(params)

    def sample(key: Key, shape: tuple[int, ...]) -> Any:
      z = draw(key, params, shape)
      return loc + scale * (z if known(z) is None else known(z))

    def log_prob(x: Array) -> Array:
      z = jnp.asarray((x - loc) / scale, jnp.float32)
      traced = any(known(leaf) is None for leaf in jax.tree.leaves(params))
      made = density.complete(params) if traced else whole()
      return score(made, z) - np.sum(np.log(scale))

    return InUnit(sample, log_prob)

  return of


# What was chosen, as fields of `Shape`, and the params.
Fitted = tuple[dict[str, Any], Params]


def _fit_mixture(key: Key, x: Array) -> Fitted:
  num, params = _choose(
      mixture(multivariate_normal),
      lambda num, x: fitting.fit_gaussian_mixture(key, x, num).params,
      [n for n in _COMPONENTS if 4 * n <= len(x)], x)
  return {'components': num}, params


def _fit_histogram(key: Key, x: Array) -> Fitted:
  del key
  low, high = jnp.min(x, 0), jnp.max(x, 0)
  margin = _MARGIN * (high - low)

  def fit(bins: int, x: Array) -> Params:
    return nonparametric.fit_histogram(
        x, low - margin, high + margin, (bins,) * x.shape[1],
        pseudo_count=_PSEUDO_COUNT)

  bins, params = _choose(
      nonparametric.histogram, fit,
      [n for n in _BINS if n**x.shape[1] <= MOST_CELLS], x)
  return {'bins': bins}, params


# (key, points [N, D]) -> `Fitted`, of the models that are not trained.
FITS: Mapping[str, Callable[[Key, Array], Fitted]] = {
    'gaussian': lambda key, x: (
        {}, jax.jit(fitting.fit_multivariate_normal)(x)),
    'mixture': _fit_mixture,
    'histogram': _fit_histogram,
    'kde': lambda key, x: ({}, jax.jit(functools.partial(
        nonparametric.fit_kernel_density, factors=_BANDWIDTHS))(x)),
}


def base_of(x: Array) -> tuple[float, ...] | None:
  """`Shape.base` of points [N, D]; None where they lie on a plane."""
  base = np.ravel(fitting.fit_multivariate_normal(x).scale_tril)
  return tuple(base.tolist()) if np.all(np.isfinite(base)) else None


def split(x: Array) -> tuple[Array, Array]:
  """Points to fit to, and points to choose by."""
  most = 4 * len(x) // 5
  return x[:most], x[most:]


def _choose(
    dist: Distribution, fit: Callable[[int, Array], Params],
    candidates: Sequence[int], x: Array
) -> tuple[int, Params]:
  """The candidate whose fit to most of x [N, D] is best on the rest.

  Returns it with its fit to all of x.
  """
  most, rest = split(x)
  # One program a candidate: a step at a time takes longer to compile.
  fitted = jax.jit(fit, static_argnums=0)
  score = jax.jit(lambda candidate, most, rest: jnp.mean(
      dist.log_prob(fit(candidate, most), rest)), static_argnums=0)
  scores = [score(candidate, most, rest) for candidate in candidates]
  # The largest of NaN would be the candidate that could not be fitted.
  best = candidates[int(np.argmax(np.nan_to_num(scores, nan=-np.inf)))]
  return best, fitted(best, x)
