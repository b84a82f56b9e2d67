"""Markov chain Monte Carlo: kernels that leave exp(-energy) / Z invariant.

Many chains run side by side: positions are [C, ...], and an energy maps them
to [C] nats, row by row. Every chain has its own keys, so that it does not
depend on how many run beside it. A chain that starts where the energy is NaN
is NaN from there on. Chains run in float32 or wider, whatever they start in.
"""

import math
from typing import Callable, NamedTuple

import jax
import jax.numpy as jnp

from genjax.checks import check
from genjax.checks import check_index
from genjax.checks import check_positive
from genjax.checks import known
from genjax.distributions.base import mean_of
from genjax.distributions.base import MonteCarlo
from genjax.numerics import broadcast_right
from genjax.numerics import fold_in_each
from genjax.numerics import normal_each
from genjax.numerics import scaled
from genjax.numerics import widen
from genjax.types import Array
from genjax.types import Key

Energy = Callable[[Array], Array]  # x [C, ...] -> [C], nats


class State(NamedTuple):
  """Where the chains are, and what the next step needs to know there."""

  position: Array  # [C, ...]
  energy: Array  # [C], nats
  gradient: Array  # [C, ...], of the energy


class Info(NamedTuple):
  """What happened in a step, which no later step depends on."""

  accepted: Array  # [C], whether the proposal was taken
  acceptance: Array  # [C], the probability with which it was to be taken


class Kernel(NamedTuple):
  """One transition of every chain, said as two pure functions."""

  init: Callable[[Array], State]  # x [C, ...] -> State
  step: Callable[[Key, State], tuple[State, Info]]  # keys [C], one a chain


def langevin(energy: Energy, *, step_size: float) -> Kernel:
  """Unadjusted Langevin: x' = x - step_size^2 / 2 grad f(x) + step_size eps.

  Roberts and Tweedie 1996 (doi:10.2307/3318418), with h = step_size^2. As
  nothing is rejected, the chain has another law than exp(-f) / Z: on a
  Gaussian an eigenvalue s^2 of the covariance becomes
  s^2 / (1 - step_size^2 / (4 s^2)), and from step_size = 2 s on it diverges.

  Args:
    energy: x [C, ...] -> [C], nats.
    step_size: standard deviation of one step's noise, in the unit of x.

  Raises:
    ValueError: step_size is not positive.
  """
  check_positive('langevin', 'step_size', step_size)
  init = _make_init(energy)

  def step(keys, state):
    x = state.position
    noise = normal_each(keys, x.shape[1:], x.dtype)
    drift = 0.5 * step_size**2 * state.gradient
    every = jnp.ones_like(state.energy)
    return init(x - drift + step_size * noise), Info(every > 0, every)

  return Kernel(init, step)


def mala(energy: Energy, *, step_size: float) -> Kernel:
  """Langevin's step as a proposal, accepted by Metropolis and Hastings.

  Roberts and Tweedie 1996 (doi:10.2307/3318418), by the identity of Neal 2011
  (arXiv:1206.1901): it is `hmc` of one leapfrog step.
  """
  return hmc(energy, step_size=step_size, num_leapfrog=1)


def hmc(
    energy: Energy, *, step_size: float | Array, num_leapfrog: int
) -> Kernel:
  """Hamiltonian Monte Carlo with unit masses: exact for any step size.

  Neal 2011, arXiv:1206.1901, figure 2. A proposal of infinite or NaN energy is
  rejected.

  Args:
    energy: x [C, ...] -> [C], nats.
    step_size: of the leapfrog integrator, in the unit of x. An array
      broadcasts against x, which is one step size in coordinates of its own
      for every entry (section 4.1 there).
    num_leapfrog: its steps, one gradient each.

  Raises:
    ValueError: num_leapfrog, or a number step_size, is not positive.
  """
  if jnp.ndim(step_size) == 0 and (size := known(step_size)) is not None:
    check_positive('hmc', 'step_size', float(size))
  check_positive('hmc', 'num_leapfrog', num_leapfrog)
  init = _make_init(energy)

  def leapfrog(_, inputs):
    state, momentum = inputs
    momentum = momentum - 0.5 * step_size * state.gradient
    state = init(state.position + step_size * momentum)
    return state, momentum - 0.5 * step_size * state.gradient

  def step(keys, state):
    key_momentum, key_accept = jnp.moveaxis(jax.vmap(jax.random.split)(keys),
                                            1, 0)
    x = state.position
    momentum = normal_each(key_momentum, x.shape[1:], x.dtype)
    proposal, end = jax.lax.fori_loop(
        0, num_leapfrog, leapfrog, (state, momentum))
    log_ratio = (state.energy + _kinetic(momentum)
                 - proposal.energy - _kinetic(end))
    acceptance = jnp.exp(jnp.minimum(log_ratio, 0.0))
    acceptance = jnp.where(jnp.isnan(acceptance), 0.0, acceptance)
    uniform = jax.vmap(lambda k: jax.random.uniform(k, (), x.dtype))(key_accept)
    accepted = uniform < acceptance
    return _select(accepted, proposal, state), Info(accepted, acceptance)

  return Kernel(init, step)


def _make_init(energy: Energy) -> Callable[[Array], State]:

  def init(x: Array) -> State:
    x = widen(x)
    energies, vjp = jax.vjp(energy, x)
    check(energies.shape == x.shape[:1], 'mcmc',
          f'the energy of x {x.shape} must be {x.shape[:1]}',
          f'shape {energies.shape}')
    bad = broadcast_right(jnp.isnan(energies), x.ndim)
    return State(jnp.where(bad, jnp.nan, x), energies,
                 *vjp(jnp.ones_like(energies)))

  return init


def _kinetic(momentum: Array) -> Array:
  return 0.5 * jnp.sum(jnp.square(momentum), tuple(range(1, momentum.ndim)))


def _select(rows: Array, yes: State, no: State) -> State:
  return jax.tree.map(jax.vmap(jnp.where), State(rows, rows, rows), yes, no)


def run(
    key: Key, kernel: Kernel, x: Array, num_steps: int, *, thin: int = 1,
    index: Array | None = None
) -> tuple[Array, Info]:
  """Positions of every chain after each `thin` steps, of `num_steps` in all.

  Args:
    key: folded with each chain's index, then with the step.
    kernel: the transition.
    x: [C, ...] where the chains start; not among the positions.
    num_steps: of every chain.
    thin: keeps one position in so many, which saves memory: the chains are
      the same. `thin = num_steps` keeps the last alone.
    index: [C] chain indices; 0..C-1 where absent.

  Returns:
    Positions [T, C, ...], T = num_steps / thin, in the dtype of x (float32 of
    whole numbers), and Info of [T, C], each the mean over `thin` steps.

  Raises:
    ValueError: num_steps is not a positive multiple of thin; the energy is not
      one number a chain; index is not [C].
  """
  check_positive('run', 'thin', thin)
  check(num_steps > 0 and num_steps % thin == 0, 'run',
        f'num_steps must be a positive multiple of thin = {thin}', num_steps)
  index = jnp.arange(x.shape[0]) if index is None else index
  check_index('run', index, x.shape[0])
  keys, dtype = fold_in_each(key, index), jnp.result_type(x, float)

  def one(state, step):
    step_keys = jax.vmap(lambda k: jax.random.fold_in(k, step))(keys)
    return kernel.step(step_keys, state)

  def several(state, steps):
    state, infos = jax.lax.scan(one, state, steps)
    mean = jax.tree.map(lambda info: jnp.mean(info, axis=0), infos)
    return state, (state.position.astype(dtype), mean)

  steps = jnp.arange(num_steps).reshape(-1, thin)
  return jax.lax.scan(several, kernel.init(x), steps)[1]


def anneal(
    key: Key, make_kernel: Callable[[Array], Kernel], slope: Energy, x: Array,
    betas: Array
) -> tuple[Array, Array]:
  """Log weights, nats, of chains that follow a path between two densities.

  Annealed importance sampling, Neal 2001, arXiv:physics/9803008, section 2,
  along f_beta(x) = f_0(x) exp(beta slope(x)): every change of beta weighs the
  chains, and one transition at the new beta moves them. The mean of the
  exponentials is unbiased for Z_last / Z_first, of the first beta and the
  last, where the chains start as exact draws at the first: with betas reversed
  too, from draws at the other end.

  Args:
    key: of the moves.
    make_kernel: beta [] -> Kernel that leaves f_beta invariant and, if a path
      is to be walked both ways, is reversible.
    slope: x [C, ...] -> [C], d log f_beta / d beta.
    x: [C, ...], where the chains start.
    betas: [T + 1], from first to last; of [0, 1] no chain moves. One that is
      repeated weighs nothing, though the slope be infinite.

  Returns:
    Log weights [C] in float32 or wider, and acceptance [C], the mean over a
    chain's T - 1 moves: NaN where there are none.

  Raises:
    ValueError: betas is not [T + 1].
  """
  check(betas.ndim == 1 and betas.size >= 2, 'anneal',
        'betas must be [T + 1] with T >= 1', f'shape {betas.shape}')
  x = widen(x)
  betas = betas.astype(x.dtype)

  def move(carry, inputs):
    x, log_weights = carry
    step, before, beta = inputs
    # Moves first: those at the last beta would change no weight.
    (x,), info = run(jax.random.fold_in(key, step), make_kernel(before), x, 1)
    log_weights += scaled(beta - before, slope(x))
    return (x, log_weights), info.acceptance[0]

  first = scaled(betas[1] - betas[0], slope(x))
  (_, log_weights), acceptance = jax.lax.scan(
      move, (x, first), (jnp.arange(betas.size - 2), betas[1:-1], betas[2:]))
  return log_weights, jnp.mean(acceptance, axis=0)


def sigmoid_betas(num_steps: int, *, slope: float = 4.0) -> Array:
  """Inverse temperatures from 0 to 1, closest at both ends: [num_steps + 1].

  The schedule of Wu et al., arXiv:1611.04273.

  Args:
    num_steps: T.
    slope: of the sigmoid, whose ends are at -slope and slope.

  Raises:
    ValueError: a number that is not positive.
  """
  check_positive('sigmoid_betas', 'num_steps', num_steps)
  check_positive('sigmoid_betas', 'slope', slope)
  betas = jax.nn.sigmoid(jnp.linspace(-slope, slope, num_steps + 1))
  return (betas - betas[0]) / (betas[-1] - betas[0])


def log_mean_of(log_weights: Array) -> MonteCarlo:
  """log of the mean of exp(log_weights [N, ...]), nats: MonteCarlo of [...].

  As that mean is unbiased, its log is low by about half the square of its
  standard error, which is the delta method's: NaN where all weights are 0.
  """
  log_weights = widen(log_weights)
  top = jnp.max(log_weights, axis=0, initial=-jnp.inf)
  top = jnp.where(jnp.isinf(top), 0.0, top)
  mean, error = mean_of(jnp.exp(log_weights - top))
  return MonteCarlo(top + jnp.log(mean), error / mean)


def chain_mean(draws: Array) -> MonteCarlo:
  """Mean over all chains, and its standard error by the effective sample size.

  Args:
    draws: [T, C, ...] of a stationary chain: positions, or any function.

  Returns:
    MonteCarlo of [...]. Raises as `effective_sample_size`.
  """
  x, unit = _in_own_unit(widen(draws))
  error = jnp.std(x, axis=(0, 1), ddof=1) / jnp.sqrt(effective_sample_size(x))
  return MonteCarlo(unit * jnp.mean(x, axis=(0, 1)), unit * error)


def effective_sample_size(draws: Array) -> Array:
  """How many independent draws would estimate the mean as well.

  Vehtari et al., arXiv:1903.08008, section 3.2: over split chains, so that
  chains which disagree or drift lower it, with Geyer's initial monotone
  sequence (Geyer 1992) to end the sum of autocorrelations. Antithetic chains
  can exceed T C; T C log10(T C) is the most it says.

  Args:
    draws: [T, C, ...] with T >= 8, C >= 1.

  Returns:
    [...]; NaN where draws hold NaN or are all the same.

  Raises:
    ValueError: fewer than 8 draws a chain, or no chain.
  """
  # In their own unit, because fourth powers of draws are taken.
  halves = _in_own_unit(_split('effective_sample_size', widen(draws)))[0]
  length, total = halves.shape[0], halves.shape[0] * halves.shape[1]
  within, pooled = _variances(halves)
  rho = 1 - (within - jnp.mean(_autocovariance(halves), axis=1)) / pooled
  pairs = rho[:length // 2 * 2].reshape(length // 2, 2, *rho.shape[1:]).sum(1)
  monotone = jax.lax.cummin(pairs, axis=0)
  # NaN pairs count too, and make the answer NaN.
  tau = -1 + 2 * jnp.sum(jnp.where(monotone < 0, 0.0, monotone), axis=0)
  return total / jnp.maximum(tau, 1 / math.log10(total))


def r_hat(draws: Array) -> Array:
  """Potential scale reduction: above 1.01, the chains have not mixed.

  Vehtari et al., arXiv:1903.08008, section 4.1: the larger of the split R-hat
  of the rank-normalised draws and of their rank-normalised distance from the
  median, which sees chains of unequal scale.

  Args:
    draws: [T, C, ...] with T >= 8, C >= 1.

  Returns:
    [...]; NaN where draws hold NaN or are all the same.

  Raises:
    ValueError: fewer than 8 draws a chain, or no chain.
  """
  halves = _split('r_hat', widen(draws))
  folded = jnp.abs(halves - jnp.median(halves, axis=(0, 1)))

  def of(x):
    within, pooled = _variances(_normal_scores(x))
    return jnp.sqrt(pooled / within)

  return jnp.maximum(of(halves), of(folded))


def _in_own_unit(draws: Array) -> tuple[Array, Array]:
  """Draws [T, C, ...] over their largest size [...], and that, if finite."""
  unit = jnp.max(jnp.abs(draws), axis=(0, 1), initial=0.0)
  unit = jnp.where((unit == 0) | jnp.isinf(unit), 1.0, unit)
  return draws / unit, unit


def _split(where: str, draws: Array) -> Array:
  """Halves of every chain: [T // 2, 2 C, ...]; an odd T loses its middle."""
  check(draws.ndim >= 2 and draws.shape[0] >= 8 and draws.shape[1] > 0, where,
        'draws must be [T, C, ...] with T >= 8, C >= 1', f'shape {draws.shape}')
  half = draws.shape[0] // 2
  return jnp.concatenate([draws[:half], draws[-half:]], axis=1)


def _variances(halves: Array) -> tuple[Array, Array]:
  """Variance within chains, and pooled with that between them."""
  length = halves.shape[0]
  within = jnp.mean(jnp.var(halves, axis=0, ddof=1), axis=0)
  between = jnp.var(jnp.mean(halves, axis=0), axis=0, ddof=1)
  return within, within * (length - 1) / length + between


def _autocovariance(halves: Array) -> Array:
  """Of every chain at lags 0..T-1, over T - 1: [T, C, ...]."""
  length = halves.shape[0]
  centred = halves - jnp.mean(halves, axis=0)
  # Twice the length, because the transform's convolution is circular.
  spectrum = jnp.fft.rfft(centred, 2 * length, axis=0)
  power = jnp.square(jnp.abs(spectrum))
  return jnp.fft.irfft(power, 2 * length, axis=0)[:length] / (length - 1)


def _normal_scores(halves: Array) -> Array:
  """Normal quantiles of the ranks among all draws, ties sharing one."""
  size = halves.shape[0] * halves.shape[1]
  columns = halves.reshape(size, -1)

  def ranks(x):
    ordered = jnp.sort(x)
    below, upto = (jnp.searchsorted(ordered, x, side=side)
                   for side in ('left', 'right'))
    return 0.5 * (below + upto + 1)

  scores = jax.scipy.special.ndtri(
      (jax.vmap(ranks, 1, 1)(columns) - 0.375) / (size + 0.25))
  return scores.reshape(halves.shape)
