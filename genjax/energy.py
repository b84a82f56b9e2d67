"""Energy models: p(x) = exp(-f(x)) / Z for any energy function f.

An energy maps (params, x [B, ...]) to [B] nats, row by row, and is not
normalised: a new constant in it is a new Z and the same p. Here are estimates
of log Z, and losses that train an energy without knowing Z.
"""

import math
from typing import Callable, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from genjax.checks import check
from genjax.checks import check_betas
from genjax.checks import check_positive
from genjax.checks import check_same_shape
from genjax.distributions.base import Distribution
from genjax.distributions.base import MonteCarlo
from genjax.mcmc import anneal
from genjax.mcmc import Kernel
from genjax.mcmc import log_mean_of
from genjax.mcmc import run
from genjax.numerics import batch_mean
from genjax.numerics import fold_in_each
from genjax.numerics import normal_each
from genjax.numerics import scaled
from genjax.numerics import sum_trailing
from genjax.numerics import widen
from genjax.types import Array
from genjax.types import Key
from genjax.types import LossFn
from genjax.types import Params

EnergyFn = Callable[[Params, Array], Array]  # (params, x [B, ...]) -> [B]
# Of an energy with its params in it, as `partial(hmc, step_size=0.1, ...)`.
MakeKernel = Callable[[Callable[[Array], Array]], Kernel]


class Quadrature(NamedTuple):
  """An integral by a rule, and its distance to a rule of half the points."""

  value: Array
  error: Array  # in the unit of `value`; of the coarser rule


class EnergyParams(NamedTuple):
  """Params of an energy, and the log Z that belongs to them."""

  energy: Params
  log_partition: Array  # nats


def log_partition_quadrature(
    energy: EnergyFn, params: Params, low: Array, high: Array, *,
    num_points: int
) -> Quadrature:
  """log Z in nats over a box of one or two dimensions, by Gauss and Legendre.

  Args:
    energy: (params, x [B, D]) -> [B].
    params: its params.
    low: [D], D = 1 or 2, a corner of the box.
    high: [D], the opposite corner.
    num_points: along each axis, 2 or more; all num_points^D are evaluated at
      once.

  Returns:
    Quadrature of []. Its error knows nothing of the mass outside the box.

  Raises:
    ValueError: bounds that are not [1] or [2], or fewer than two points.
  """
  low, high = jnp.asarray(low, float), jnp.asarray(high, float)
  check(low.shape == high.shape and low.shape in ((1,), (2,)),
        'log_partition_quadrature', 'low and high must be both [1] or both [2]',
        f'shapes {low.shape} and {high.shape}')
  check(num_points >= 2, 'log_partition_quadrature',
        'num_points must be 2 or more', num_points)

  def rule(num):
    nodes, weights = np.polynomial.legendre.leggauss(num)
    grid, volumes = (
        jnp.asarray(np.stack(np.meshgrid(*[axis] * low.size), axis=-1)
                    .reshape(-1, low.size), low.dtype)
        for axis in (nodes, weights))
    half = 0.5 * (high - low)
    x = 0.5 * (low + high) + half * grid
    log_volumes = jnp.sum(jnp.log(volumes * half), axis=-1)
    return jax.nn.logsumexp(log_volumes - energy(params, x))

  value = rule(num_points)
  return Quadrature(value, jnp.abs(value - rule(num_points // 2)))


def log_partition_importance(
    key: Key, energy: EnergyFn, proposal: Distribution, params: Params,
    proposal_params: Params, *, num_samples: int
) -> MonteCarlo:
  """log Z in nats by importance sampling: log mean exp(-f(x)) / q(x), x ~ q.

  The mean is unbiased for Z; its log is low by about half the square of the
  standard error. That error is the delta method's. Neither knows of what the
  proposal never draws: its tails must be no lighter than the model's.

  Args:
    key: of the draws.
    energy: (params, x [N, *event]) -> [N].
    proposal: q, a normalised distribution.
    params: those of the energy.
    proposal_params: those of the proposal: one distribution, no batch.
    num_samples: N, 2 or more.

  Returns:
    MonteCarlo of [].

  Raises:
    ValueError: fewer than two samples; energies and log-densities that are
      not [N].
  """
  x = proposal.sample(key, proposal_params, (num_samples,))
  log_weights = _log_ratio('log_partition_importance', energy(params, x),
                           proposal.log_prob(proposal_params, x))
  return _log_mean_exp('log_partition_importance', log_weights, num_samples)


def log_partition_annealed(
    key: Key, energy: EnergyFn, base: Distribution, params: Params,
    base_params: Params, *, make_kernel: MakeKernel, betas: Array,
    num_samples: int
) -> MonteCarlo:
  """log Z in nats by annealed importance sampling.

  Neal 2001, arXiv:physics/9803008, section 2: particles from `base` move by
  one transition at each inverse temperature of the geometric path
  base^(1 - beta) exp(-beta f), and are weighted by what each change of beta
  does to their density. `betas = [0, 1]` is importance sampling.

  Args:
    key: of the particles and their moves.
    energy: (params, x [N, *event]) -> [N].
    base: a normalised distribution that covers the model.
    params: those of the energy.
    base_params: those of the base: one distribution, no batch.
    make_kernel: energy -> Kernel. It must leave its target invariant, as
      `mala` and `hmc` do; `langevin` biases the estimate.
    betas: [T + 1] rising from 0 to 1; a repeated one moves the particles once
      more. Traced ones that do not give NaN.
    num_samples: N independent particles, 2 or more.

  Returns:
    MonteCarlo of [], its standard error as in `log_partition_importance`.

  Raises:
    ValueError: betas is not [T + 1], or known and not rising from 0 to 1; fewer
      than two particles; energies and log-densities that are not [N].
  """
  betas = check_betas('log_partition_annealed', betas)
  key_base, key_moves = jax.random.split(key)

  def excess(x):
    return _log_ratio('log_partition_annealed', energy(params, x),
                      base.log_prob(base_params, x))

  def kernel(beta):
    return make_kernel(
        lambda x: scaled(beta, energy(params, x))
        - scaled(1 - beta, base.log_prob(base_params, x)))

  x = base.sample(key_base, base_params, (num_samples,))
  log_weights, _ = anneal(key_moves, kernel, excess, x, betas)
  return _log_mean_exp('log_partition_annealed', log_weights, num_samples)


def _log_ratio(where: str, energies: Array, log_prob: Array) -> Array:
  # Shapes that differ would broadcast, silently.
  check_same_shape(where, energy=energies, log_prob=log_prob)
  return -energies - log_prob


def _log_mean_exp(where: str, log_weights: Array, num: int) -> MonteCarlo:
  check(num >= 2, where, 'num_samples must be 2 or more', num)
  check(log_weights.shape == (num,), where, f'weights must be [{num}]',
        f'shape {log_weights.shape}')
  return log_mean_of(log_weights)


def as_distribution(
    energy: EnergyFn, base: Distribution, base_params: Params, *,
    make_kernel: MakeKernel, num_steps: int
) -> Distribution:
  """The normalised model, of `EnergyParams`: exp(-f(x) - log_partition).

  Args:
    energy: (params, x [B, *event]) -> [B].
    base: where chains start, of the model's event.
    base_params: its params, of one distribution: no batch.
    make_kernel: energy -> Kernel.
    num_steps: of the chain that makes one draw. The draws are those of the
      model as far as the chain has forgotten its start.

  Returns:
    A Distribution whose density is an 'estimate', as `log_partition` is.
  """

  def sample(key, params, shape=()):
    key_start, key_chain = jax.random.split(key)
    start = base.sample(key_start, base_params, (math.prod(shape),))
    kernel = make_kernel(lambda x: energy(params.energy, x))
    x, _ = run(key_chain, kernel, start, num_steps, thin=num_steps)
    return x.reshape(*shape, *start.shape[1:])

  def log_prob(params, x):
    batch = x.shape[:x.ndim - base.event_ndims]
    rows = x.reshape(-1, *x.shape[len(batch):])
    return -energy(params.energy, rows).reshape(batch) - params.log_partition

  return Distribution(sample, log_prob, base.event_ndims, 'estimate')


def make_contrastive_divergence(
    energy: EnergyFn, *, make_kernel: MakeKernel, num_steps: int
) -> LossFn:
  """Energy of the data less that of samples, which start at the data, nats.

  CD-k, Hinton 2002 (doi:10.1162/089976602760128018): the samples are k steps
  of a chain of the present model from the data; no gradient passes through
  them. The gradient, not the value, is what is meant: it vanishes in
  expectation where the data are the model's, if the kernel is exact.

  Args:
    energy: (params, x [B, ...]) -> [B].
    make_kernel: energy -> Kernel.
    num_steps: k.

  Returns:
    LossFn over batches {'x' [B, ...], 'index' [B], 'mask' [B] if some examples
    are to be left out}, 'x' taken as float32 or wider. Metrics: 'acceptance' of
    the chain.

  Raises:
    ValueError: num_steps is not positive.
  """
  check_positive('make_contrastive_divergence', 'num_steps', num_steps)

  def loss_fn(params, key, batch, context):
    del context
    x, kernel = widen(batch['x']), make_kernel(lambda x: energy(params, x))
    positions, info = run(key, kernel, x, num_steps, thin=num_steps,
                          index=batch['index'])
    samples, acceptance = jax.lax.stop_gradient(
        (positions[0], info.acceptance[0]))
    contrast = energy(params, x) - energy(params, samples)
    return (batch_mean(batch, contrast),
            {'acceptance': batch_mean(batch, acceptance)})

  return loss_fn


def make_denoising_score_matching(
    energy: EnergyFn, *, scale: float
) -> LossFn:
  """Squared error of the score of data with noise, times scale^2 / 2.

  Vincent 2011 (doi:10.1162/NECO_a_00142): a sum over data dimensions.
  What is learnt is the law of data + noise, not that of the data.

  Args:
    energy: (params, x [B, ...]) -> [B].
    scale: standard deviation of the noise, in the unit of x.

  Returns:
    LossFn over batches as those of `make_contrastive_divergence`; no metrics.

  Raises:
    ValueError: scale is not positive.
  """
  check_positive('make_denoising_score_matching', 'scale', scale)

  def loss_fn(params, key, batch, context):
    del context
    x = widen(batch['x'])
    eps = normal_each(fold_in_each(key, batch['index']), x.shape[1:], x.dtype)
    gradient = _gradient(energy, params, x + scale * eps)
    error = jnp.square(scale * gradient - eps)
    return batch_mean(batch, 0.5 * sum_trailing(error, x.ndim - 1)), {}

  return loss_fn


def make_sliced_score_matching(energy: EnergyFn) -> LossFn:
  """|grad f|^2 / 2 - v . (Hessian of f) v, for one random v of signs.

  Sliced score matching with variance reduction, arXiv:1905.07088: up to a
  constant half the expected squared error of the model's score, in the
  inverse square of the unit of x.

  Args:
    energy: (params, x [B, ...]) -> [B], twice differentiable in x.

  Returns:
    LossFn over batches as those of `make_contrastive_divergence`; no metrics.
  """

  def loss_fn(params, key, batch, context):
    del context
    x = widen(batch['x'])
    keys = fold_in_each(key, batch['index'])
    v = jax.vmap(lambda k: jax.random.rademacher(k, x.shape[1:], x.dtype))(keys)
    gradient, curvature = jax.jvp(
        lambda x: _gradient(energy, params, x), (x,), (v,))
    losses = 0.5 * jnp.square(gradient) - v * curvature
    return batch_mean(batch, sum_trailing(losses, x.ndim - 1)), {}

  return loss_fn


def _gradient(energy: EnergyFn, params: Params, x: Array) -> Array:
  return jax.grad(lambda x: jnp.sum(energy(params, x)))(x)
