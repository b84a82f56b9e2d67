"""Six models of the density of standardised points."""

import functools
from typing import Callable, Mapping, NamedTuple, Sequence

import jax
import jax.numpy as jnp

from genjax import energy
from genjax import mcmc
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
  base: Sequence[float] | None  # see `base_params`
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


def base_params(shape: Shape) -> MultivariateNormalParams:
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
      base_params(shape), make_kernel=_make_kernel,
      betas=jnp.linspace(0, 1, _TEMPERATURES), num_samples=_PARTICLES)


def _energy(shape: Shape) -> Density:
  dist = energy.as_distribution(
      _energy_of, multivariate_normal, base_params(shape),
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
