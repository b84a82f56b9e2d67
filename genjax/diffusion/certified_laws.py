"""What is certified of a sampler: its order, its output law, what these cost.

Everything is computed in float64 and without chance, but for the distance to
the data of a method that draws, which is that of a sample.
"""

import functools
import math
from typing import Any, NamedTuple, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from scipy import special

from genjax.diffusion import certification
from genjax.diffusion import exact
from genjax.diffusion import samplers
from genjax.diffusion import times as grids
from genjax.diffusion.certification import Line
from genjax.diffusion.certification import Make
from genjax.diffusion.certification import ROWS
from genjax.diffusion.certification import Run
from genjax.diffusion.certification import Truth
from genjax.diffusion.process import flow_matching
from genjax.types import Array
from genjax.types import Process

HIGH, LOW = 10.0, 0.02  # sigma / alpha between which orders are measured
STEPS = (160, 320, 640)
BUDGETS = (5, 10, 20, 50, 100)  # evaluations of the denoiser
CHUNKS = 16  # of ROWS draws each
FLOOR = 1e-12  # error of rounding, which says nothing of an order

# As arrays of numpy, so that importing computes nothing.
MIXTURE = Line(np.log([0.3, 0.7]), np.array([-1.0, 0.6]),
               np.array([0.04, 0.16]))
GAUSSIAN = Line(np.zeros(2), np.full(2, 1.0), np.full(2, 0.25))
# Of other Gaussians, by which the order of a law is measured: on one alone its
# error may change sign between two numbers of steps.
VARIANCES = (0.04, 0.25, 1.0)


class Instrument(NamedTuple):
  """A method, made for all processes, and the exact answer."""

  make: Make
  run: Run
  truth: Truth
  processes: Sequence[Process]


def moments(line: Line) -> tuple[float, float]:
  """Mean and variance of the data."""
  weights = special.softmax(line.logits)
  mean = float(weights @ line.means)
  return mean, float(weights @ (line.variances + np.square(line.means))
                     - mean**2)


def grid_of(process: Process, name: str, num_steps: int) -> Array:
  """Times [num_steps + 1] from HIGH to LOW, of 'karras' or 'log'."""
  if name == 'karras':
    return grids.karras(process, num_steps + 1, sigma_min=LOW, sigma_max=HIGH)
  return grids.even_log_snr(process, num_steps, low=-2 * math.log(HIGH),
                            high=-2 * math.log(LOW))


def slope(errors: Sequence[float]) -> float:
  """Order that errors for STEPS show; NaN where they are roundings."""
  fine = [(e, n) for e, n in zip(errors, STEPS) if e > FLOOR]
  if len(fine) < 2:
    return math.nan
  (first, few), (last, many) = fine[0], fine[-1]
  return math.log(first / last) / math.log(many / few)


def path_errors(
    instrument: Instrument, index: int, grid: str, *, exact_start: bool
) -> list[float]:
  """Largest error of x at LOW, for each of STEPS, on the mixture.

  Over ROWS points within 2 marginal standard deviations at the first time.
  With `exact_start` a multistep method is given the exact states and denoised
  ones at the times before the first.
  """
  (make, run, truth, processes), line = instrument, MIXTURE
  process, errors = processes[index], []
  past = history(make, process)
  for num_steps in STEPS:
    times = grid_of(process, grid, num_steps + past)
    first = times[0]
    x = np.linspace(-2, 2, ROWS) * float(jnp.hypot(
        process.alpha(first), process.sigma(first)))
    path = [jnp.asarray(x), *(truth.flow(index, line, x, first, t)
                              for t in times[1:past + 1])]
    carry = make(process).init(path[0][:, None]) if past else None
    if past and exact_start:
      before = range(past)[::-1]
      carry = samplers.History(
          times[:past][::-1],
          jnp.stack([path[k] for k in before])[..., None],
          jnp.stack([truth.denoise(index, line, path[k], times[k])
                     for k in before])[..., None])
    out = run(index, line, path[past], times[past:], certification.noises(),
              carry)
    want = truth.flow(index, line, x, first, times[-1])
    errors.append(float(jnp.max(jnp.abs(out.x - want))))
  return errors


def history(make: Make, process: Process) -> int:
  """How many steps the method remembers."""
  carry = jax.eval_shape(make(process).init, jnp.zeros((1, 1)))
  return carry.times.shape[0] if isinstance(carry, samplers.History) else 0


class Law(NamedTuple):
  """What comes out, of Gaussian data."""

  mean: float
  variance: float


def output_law(
    instrument: Instrument, index: int, line: Line, times: Array, start: Law
) -> Law | None:
  """Exact mean and variance at times[-1] of x from `start` at times[0].

  By the affine map that a sampler is on one Gaussian; by quadrature over x
  where it draws nothing and is not affine. None where it is not finite.
  """
  found = certification.affine(instrument.run, index, line, times)
  if found is not None:
    offset, factor, stds = found
    law = Law(offset + factor * start.mean,
              factor**2 * start.variance + float(np.sum(np.square(stds))))
    return law if np.all(np.isfinite(law)) else None
  z, weights = certification.nodes()
  x = start.mean + math.sqrt(start.variance) * z
  out = instrument.run(index, line, x, times, certification.noises())
  x = np.asarray(out.x)
  if int(out.draws) or not np.all(np.isfinite(x)):
    return None
  mean = float(weights @ x)
  return Law(mean, float(weights @ np.square(x - mean)))


def marginal(
    process: Process, line: Line, t: Array, *, prior: bool = False
) -> Law:
  """Mean and variance of x_t; with `prior` the mean is taken for 0."""
  mean, variance = moments(line)
  alpha, sigma = float(process.alpha(t)), float(process.sigma(t))
  return Law(0.0 if prior else alpha * mean, alpha**2 * variance + sigma**2)


def law_errors(
    instrument: Instrument, index: int, grid: str
) -> list[float]:
  """Error of the variance at LOW, relative, for each of STEPS.

  The largest over Gaussian data of VARIANCES, from the exact law at HIGH.
  """
  process, errors = instrument.processes[index], []
  for num_steps in STEPS:
    times, found = grid_of(process, grid, num_steps), []
    for variance in VARIANCES:
      line = GAUSSIAN._replace(variances=np.full(2, variance))
      law = output_law(instrument, index, line, times,
                       marginal(process, line, times[0]))
      want = marginal(process, line, times[-1])
      found.append(math.nan if law is None
                   else abs(law.variance / want.variance - 1))
    errors.append(max(found))
  return errors


@functools.cache
def _from_noise() -> Any:
  """z [N, 1] to the data at t = 0, from t = 1 where all is noise."""
  truth = exact.gaussian_mixture(
      flow_matching(), MIXTURE.logits, MIXTURE.means[:, None],
      MIXTURE.variances[:, None, None])
  return jax.jit(lambda z: truth.flow(z, jnp.ones(()), jnp.zeros(())))


def quantiles(z: np.ndarray) -> np.ndarray:
  """Of the mixture, at the probabilities of standard normal z [N]."""
  return np.asarray(_from_noise()(jnp.asarray(z)[:, None]))[:, 0]


def wasserstein(x: np.ndarray, weights: np.ndarray) -> float:
  """W2 of weighted points [N] to the mixture: L2 of the quantile functions."""
  order = np.argsort(x)
  x, weights = x[order], weights[order]
  middle = np.cumsum(weights) - weights / 2
  gaps = x - quantiles(special.ndtri(middle))
  return float(np.sqrt(weights @ np.square(gaps)))


def distance(instrument: Instrument, index: int, times: Array) -> float | None:
  """W2 to the mixture of what is sampled on `times` from N(0, variance).

  A method that draws nothing moves quantiles of its start, exact to 1e-4; of
  one that draws, CHUNKS x ROWS samples from as many quantiles. None where it is
  not finite.
  """
  start = marginal(instrument.processes[index], MIXTURE, times[0], prior=True)
  std = math.sqrt(start.variance)
  z, weights = certification.nodes()
  out = instrument.run(index, MIXTURE, std * z, times, certification.noises())
  x = np.asarray(out.x)
  if int(out.draws):
    share = (np.arange(ROWS * CHUNKS) + 0.5) / (ROWS * CHUNKS)
    starts = std * special.ndtri(share).reshape(ROWS, CHUNKS)
    x = np.concatenate([np.asarray(instrument.run(
        index, MIXTURE, starts[:, seed], times,
        certification.noises(seed=seed)).x) for seed in range(CHUNKS)])
    weights = np.full(x.size, 1 / x.size)
  return wasserstein(x, weights) if np.all(np.isfinite(x)) else None


def distance_of_draws() -> float:
  """Root mean square W2 of CHUNKS x ROWS draws of the mixture itself."""
  num, rng = ROWS * CHUNKS, np.random.default_rng(0)
  z = rng.standard_normal((16, num))
  return math.sqrt(np.mean([wasserstein(
      quantiles(row), np.full(num, 1 / num))**2 for row in z]))


def draws(instrument: Instrument) -> bool:
  """Whether the method asks for noise."""
  process = instrument.processes[0]
  out = instrument.run(0, MIXTURE, np.zeros(ROWS),
                       grid_of(process, 'log', STEPS[0]),
                       certification.noises())
  return int(out.draws) > 0


class Cost(NamedTuple):
  """Evaluations of the denoiser, as counted: a + b steps."""

  base: float
  per_step: float


def evaluations(instrument: Instrument, index: int, times: Array) -> int:
  """How often the denoiser is asked on `times`, counted."""
  out = instrument.run(index, MIXTURE, np.zeros(ROWS), times,
                       certification.noises())
  return int(np.max(out.evaluations))


def cost(instrument: Instrument, index: int) -> Cost:
  """That found on the two shortest grids of orders."""
  few, many = STEPS[:2]
  process = instrument.processes[index]
  counts = [evaluations(instrument, index, grid_of(process, 'log', n))
            for n in (few, many)]
  per_step = (counts[1] - counts[0]) / (many - few)
  return Cost(counts[0] - per_step * few, per_step)


class Spent(NamedTuple):
  """A process's own grid within a budget, and what comes of it."""

  steps: int
  evaluations: int
  law: Law | None  # of Gaussian data, from N(0, variance)
  distance: float | None  # W2 to the mixture


def spend(
    instrument: Instrument, index: int, budget: int, price: Cost
) -> Spent | None:
  """The longest grid of the process whose evaluations are within `budget`.

  None where the shortest, of 2 steps, takes more.
  """
  process = instrument.processes[index]
  num_steps = int((budget - price.base) / price.per_step)
  spent, found, most = 0, 0, budget
  while num_steps >= 2 and not found:
    spent = evaluations(instrument, index, process.grid(num_steps))
    if spent > budget:
      most = num_steps = num_steps - 1
    elif spent + price.per_step <= budget and num_steps < most:
      num_steps += 1  # a last step may cost less than the others
    else:
      found = num_steps
  if not found:
    return None
  times = process.grid(found)
  start = marginal(process, GAUSSIAN, times[0], prior=True)
  return Spent(found, spent,
               output_law(instrument, index, GAUSSIAN, times, start),
               distance(instrument, index, times))


class Adapted(NamedTuple):
  """What a method of steps of its own gives between HIGH and LOW."""

  evaluations: float  # mean over the starts
  most: int
  error: float  # largest, of x


def adapted(instrument: Instrument, index: int) -> Adapted:
  """In one step of the grid, on the mixture, over the starts of `path_errors`.
  """
  process = instrument.processes[index]
  times = grid_of(process, 'log', 1)
  x = np.linspace(-2, 2, ROWS) * float(jnp.hypot(
      process.alpha(times[0]), process.sigma(times[0])))
  out = instrument.run(index, MIXTURE, x, times, certification.noises())
  want = instrument.truth.flow(index, MIXTURE, x, *times)
  return Adapted(float(jnp.mean(out.evaluations)),
                 int(jnp.max(out.evaluations)),
                 float(jnp.max(jnp.abs(out.x - want))))
