"""What every restorer draws of data that are known, each a row of a table.

Of y = A x + noise the posterior is a mixture of Gaussians: every truth has its
own y, and its restorations are held against its own posterior. To be used in
float64.
"""

import functools
from typing import Any, Callable, Mapping, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from genjax.diffusion import exact
from genjax.diffusion import exact_posterior
from genjax.diffusion import inverse
from genjax.diffusion import operators
from genjax.diffusion import process
from genjax.diffusion import samplers
from genjax.diffusion import smc
from genjax.types import Array
from genjax.types import Denoiser
from genjax.types import Key
from genjax.types import Process

TRUTHS, DRAWS = 500, 31
STEPS, REPEATS = 100, 10
MATRIX: Any = np.array([[1.0, 0.5]])
NOISE_STD = 0.3
# Along what is measured, and across it.
AXES = np.array([[1.0, 0.5], [-0.5, 1.0]]) / 1.25**0.5


class Data(NamedTuple):
  """A mixture of K Gaussians on the plane."""

  weights: Any  # [K]
  means: Any  # [K, 2]
  covs: Any  # [K, 2, 2]

  @property
  def std(self) -> float:
    """Root of the mean square of an entry."""
    squares = np.trace(self.covs, axis1=1, axis2=2) + np.sum(
        np.square(self.means), axis=1)
    return float(np.sqrt(self.weights @ squares / 2))


DATA: Mapping[str, Data] = {
    'correlated': Data(np.ones(1), np.zeros((1, 2)),
                       np.array([[[0.5, 0.25], [0.25, 0.2]]])),
    'isotropic': Data(np.ones(1), np.zeros((1, 2)), 0.36 * np.eye(2)[None]),
    'mixture': Data(np.array([0.4, 0.6]), np.array([[-0.9, 0.4], [0.6, -0.3]]),
                    np.array([[[0.1, 0.035], [0.035, 0.05]],
                              [[0.2, -0.17], [-0.17, 0.3]]])),
}


class Task(NamedTuple):
  """What a restorer is made of."""

  process: Process
  data: Data
  denoiser: Denoiser
  measurement: operators.Measurement


class Restorer(NamedTuple):
  """A way of restoration."""

  make: Callable[[Task], tuple[samplers.Sampler, Denoiser]]
  particles: int = 0  # none where it is no sequential Monte Carlo


def _truth(task: Task) -> tuple[samplers.Sampler, Denoiser]:
  """The denoiser E[x_0 | x_t, y] itself: what the solver is off by."""

  def one(x: Array, y: Array, t: Array) -> Array:
    logits, means, covs, _ = posterior(task.data, y)
    return exact.gaussian_mixture(
        task.process, logits, means, covs).denoiser(x[None], t)[0]

  return samplers.dpm_solver_2m(task.process), lambda x, t: jax.vmap(
      one, (0, 0, None))(x, task.measurement.y, t)


def _replacement(task: Task) -> tuple[samplers.Sampler, Denoiser]:
  return inverse.replacement(task.process, samplers.ancestral(task.process),
                             task.measurement), task.denoiser


def _repaint(task: Task) -> tuple[samplers.Sampler, Denoiser]:
  return inverse.repaint(task.process, samplers.ancestral(task.process),
                         task.measurement, repeats=REPEATS), task.denoiser


def _dps(task: Task) -> tuple[samplers.Sampler, Denoiser]:
  return samplers.dpm_solver_2m(task.process), inverse.dps(
      task.process, task.denoiser, task.measurement)


def _pigdm(task: Task) -> tuple[samplers.Sampler, Denoiser]:
  return samplers.dpm_solver_2m(task.process), inverse.pigdm(
      task.process, task.denoiser, task.measurement, data_std=task.data.std)


def _twisted(task: Task) -> tuple[samplers.Sampler, Denoiser]:
  twist = inverse.make_twist(task.process, task.measurement, task.data.std)
  return (smc.twisted(task.process, twist, data_std=task.data.std),
          smc.over_particles(task.denoiser))


EXACT = 'exact denoiser'
RESTORERS: Mapping[str, Restorer] = {
    EXACT: Restorer(_truth),
    'replacement': Restorer(_replacement),
    'RePaint': Restorer(_repaint),
    'DPS': Restorer(_dps),
    'PiGDM': Restorer(_pigdm),
    **{f'twisted SMC {num}': Restorer(_twisted, particles=num)
       for num in (4, 16, 64)},
}


def posterior(data: Data, y: Array) -> exact_posterior.MixturePosterior:
  """That of a measurement [1]."""
  return exact_posterior.gaussian_mixture(
      jnp.log(data.weights), data.means, data.covs, MATRIX, y, NOISE_STD)


class Restored(NamedTuple):
  """What comes out."""

  x: Array  # [B, 2]
  log_evidence: Array | None  # [B] nats
  evaluations: Array  # [] of the denoiser, by each of B


def restore(
    restorer: Restorer, data: Data, steps: int, key: Key, y: Any
) -> Restored:
  """A restoration of each y [B, 1]; the denoiser counts how often it is asked.
  """
  edm = process.edm()
  truth = exact.gaussian_mixture(
      edm, jnp.log(data.weights), data.means, data.covs)
  asked = jax.new_ref(jnp.zeros((), int))
  told = operators.measure('restore', operators.matrix(MATRIX), y, NOISE_STD)
  sampler, denoiser = restorer.make(Task(edm, data, truth.denoiser, told))

  def counted(x: Array, t: Array) -> Array:
    asked[...] += max(1, restorer.particles)
    return denoiser(x, t)

  times = edm.grid(steps)
  key_start, key_steps, key_pick = jax.random.split(key, 3)
  many = (restorer.particles,) if restorer.particles else ()
  x = process.prior_sample(key_start, edm, (y.shape[0], *many, 2),
                           data.std, time=times[0]).astype(float)
  out = samplers.sample(key_steps, sampler, counted, x, times)
  if not many:
    return Restored(out.x, None, asked[...])
  return Restored(smc.pick(key_pick, out), smc.log_evidence(out.carry[0]),
                  asked[...])


class Sets(NamedTuple):
  """Truths, what was measured of them, and what that says of them."""

  x: np.ndarray  # [N, 2]
  y: np.ndarray  # [N, 1]
  mean: np.ndarray  # [N, 2] of the posterior
  cov: np.ndarray  # [N, 2, 2]
  log_evidence: np.ndarray  # [N]


def truths(data: Data, num: int) -> Sets:
  """`num` truths and their posteriors."""
  rng = np.random.default_rng(0)
  which = rng.choice(len(data.weights), num, p=data.weights)
  z = rng.standard_normal((num, 2))
  x = data.means[which] + np.einsum(
      'nij,nj->ni', np.linalg.cholesky(data.covs)[which], z)
  y = x @ MATRIX.T + NOISE_STD * rng.standard_normal((num, 1))
  post = jax.jit(jax.vmap(functools.partial(posterior, data)))(y)
  share, means, covs = (np.asarray(a) for a in (
      jnp.exp(post.logits), post.means, post.covs))
  mean = np.einsum('nk,nki->ni', share, means)
  away = means - mean[:, None]
  cov = np.einsum('nk,nkij->nij', share,
                  covs + away[..., :, None] * away[..., None, :])
  return Sets(x, y, mean, cov, np.asarray(post.log_evidence))


class Errors(NamedTuple):
  """What restorations are off by, over N truths of S draws each."""

  mean: float  # root mean square, in standard deviations of the posterior
  trace: float  # of the covariance, over that of the posterior
  w2: float | None  # to the posterior in its standard deviations, if Gaussian
  evidence: float | None  # of its log, nats
  evidence_noise: float | None  # standard error of that


def errors(
    sets: Sets, draws: np.ndarray, log_evidence: np.ndarray | None, *,
    gaussian: bool
) -> Errors:
  """Of draws [N, S, 2], and of log evidence [N, S].

  The share of the draws' own noise is taken off squares of means.
  """
  num = draws.shape[1]
  found = draws.mean(axis=1)
  away = draws - found[:, None]
  covs = np.einsum('nsi,nsj->nij', away, away) / (num - 1)
  gap = found - sets.mean
  whole = np.linalg.inv(sets.cov)
  squares = np.mean(np.einsum('ni,nij,nj->n', gap, whole, gap)
                    - np.einsum('nij,nji->n', whole, covs) / num) / 2
  total = np.trace(sets.cov, axis1=1, axis2=2).mean()
  spread = np.trace(covs, axis1=1, axis2=2).mean()
  w2 = None
  if gaussian:  # the covariances of all truths are one
    want, got = sets.cov[0], covs.mean(axis=0)
    values, basis = np.linalg.eigh(want)
    root = basis * np.sqrt(values) @ basis.T
    shared = np.linalg.eigvalsh(root @ got @ root)
    shift = np.mean(np.sum(np.square(gap), axis=1)) - spread / num
    bures = np.trace(want + got) - 2 * np.sum(np.sqrt(np.maximum(shared, 0)))
    w2 = float(np.sqrt(max(shift + bures, 0.0) / total))
  off = noise = None
  if log_evidence is not None:
    each = np.mean(log_evidence - sets.log_evidence[:, None], axis=1)
    off = float(each.mean())
    noise = float(each.std(ddof=1)) / len(each)**0.5
  return Errors(float(np.sqrt(max(squares, 0.0))), float(spread / total), w2,
                off, noise)


class Measured(NamedTuple):
  """What was drawn, and what it is off by."""

  sets: Sets
  draws: np.ndarray  # [N, S, 2]
  errors: Errors
  evaluations: int


def measure(
    data: Data, restorer: Restorer, num: int = TRUTHS, steps: int = STEPS
) -> Measured:
  """DRAWS restorations of each of `num` truths."""
  sets = truths(data, num)
  out = jax.jit(functools.partial(restore, restorer, data, steps))(
      jax.random.key(1), np.repeat(sets.y, DRAWS, axis=0))
  draws = np.asarray(out.x).reshape(num, DRAWS, 2)
  nats = (None if out.log_evidence is None
          else np.asarray(out.log_evidence).reshape(num, DRAWS))
  return Measured(sets, draws, errors(
      sets, draws, nats, gaussian=len(data.weights) == 1), int(out.evaluations))
