"""Programs that measure samplers against the exact answer on the line.

To be used in float64. One program serves all processes of a method and a number
of steps: the process, the data, x, the times and the noise are its arguments.
"""

import functools
from typing import Any, Callable, NamedTuple, Protocol, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from genjax.checks import check
from genjax.diffusion import exact
from genjax.diffusion import samplers
from genjax.numerics import widen
from genjax.types import Array
from genjax.types import Key
from genjax.types import Process
from genjax.types import Shape

ROWS = 512  # points that a program moves at a time
_NUMBERS = 2**20  # noises that a step may number
_RECORDED = 2**14  # draws that are written down

Make = Callable[[Process], samplers.Sampler]


class Line(NamedTuple):
  """Data on the line: a mixture of K Gaussians."""

  logits: Any  # [K]
  means: Any  # [K]
  variances: Any  # [K]


class Noises(NamedTuple):
  """The noise of each row: 1 in one draw, and in all a share of a random one.
  """

  slot: Array  # [ROWS] code of the draw that is 1, or -1
  loud: Array  # [] the factor of what is random
  key: Key


class Output(NamedTuple):
  """What a program gives."""

  x: Array  # [ROWS]
  evaluations: Array  # [], or [ROWS] where each row has its own
  draws: Array  # [] number of noises that were asked for
  codes: Array  # [_RECORDED] of these, -1 behind the last


class Run(Protocol):
  """Solves from times[0], where the method remembers `carry`."""

  def __call__(
      self, index: int, line: Line, x: Any, times: Array, noises: Noises,
      carry: Any = None
  ) -> Output:
    ...


def choose(processes: Sequence[Process], index: Array) -> Process:
  """The process of this number, without times and grid of its own.

  For a compiler it is one process, whatever the number.
  """

  def schedule(field: str) -> Callable[[Array], Array]:
    branches = [getattr(p, field) for p in processes]
    return lambda t: jax.lax.switch(index, branches, widen(t))

  def none(_: Any) -> Array:
    raise ValueError('choose: times and grid must be those of a process itself')

  ends: Any = {name: jnp.asarray([getattr(p, name) for p in processes])[index]
               for name in ('t_min', 't_max')}
  return Process(
      schedule('alpha'), schedule('sigma'), schedule('log_snr'),
      schedule('time'), **ends, ends_in_noise=False, times=none, grid=none)


def noises(
    slot: Any = None, seed: int | None = None
) -> Noises:
  """No noise but 1 in the draws of `slot` [ROWS]; random ones if seeded."""
  return Noises(
      jnp.full(ROWS, -1) if slot is None else jnp.asarray(slot),
      jnp.asarray(0.0 if seed is None else 1.0), jax.random.key(seed or 0))


def _truth(process: Process, line: Line) -> exact.Exact:
  return exact.gaussian_mixture(process, line.logits, line.means[:, None],
                                line.variances[:, None, None])


def counts_itself(make: Make, process: Process) -> bool:
  """Whether what the method remembers is its number of evaluations [B]."""
  carry = jax.eval_shape(make(process).init, jnp.zeros((1, 1)))
  return (isinstance(carry, jax.ShapeDtypeStruct)
          and jnp.issubdtype(carry.dtype, jnp.integer))


def solve(
    make: Make, process: Process, line: Line, x: Array, times: Array,
    noises: Noises, carry: Any = None
) -> Output:
  """The method with the exact denoiser, which counts how often it is asked."""
  sampler, truth, x = make(process), _truth(process, line), x[:, None]
  counted = counts_itself(make, process)
  evaluations, draws = (jax.new_ref(jnp.zeros((), int)) for _ in range(2))
  codes = jax.new_ref(jnp.full(_RECORDED, -1))

  def denoiser(x: Array, t: Array) -> Array:
    if not counted:
      evaluations[...] += 1
    return truth.denoiser(x, t)

  def noise_of(step: Array) -> samplers.Noise:
    def noise(
        number: int | Array = 0, shape: Shape | None = None
    ) -> Array:
      check(shape is None, 'certification', 'noise must be of the shape of x',
            shape)
      code = step * _NUMBERS + number
      codes[draws[...]] = code
      draws[...] += 1
      drawn = jax.random.normal(jax.random.fold_in(noises.key, code), x.shape,
                                x.dtype)
      told = (noises.slot == code).astype(x.dtype)
      return told[:, None] + noises.loud * drawn

    return noise

  done = samplers.solve(noise_of, sampler, denoiser, x, times, carry=carry)
  return Output(done.x[:, 0], done.carry if counted else evaluations[...],
                draws[...], codes[...])


def make_run(make: Make, processes: Sequence[Process]) -> Run:
  """`solve` of a method, compiled once a number of steps for all processes."""

  @jax.jit
  def run(index, line, x, times, noises, carry=None):
    return solve(make, choose(processes, index), line, x, times, noises, carry)

  return run


def exact_flow(
    process: Process, line: Line, x: Array, t: Array, s: Array
) -> Array:
  """x_s [B] of x_t [B]."""
  return _truth(process, line).flow(x[:, None], t, s)[:, 0]


class Truth(NamedTuple):
  """The exact answer of all processes, compiled."""

  flow: Callable[..., Array]  # (index, line, x [B], t, s) -> x_s [B]
  denoise: Callable[..., Array]  # (index, line, x [B], t) -> E[x_0 | x_t] [B]


def make_truth(processes: Sequence[Process]) -> Truth:
  """The exact flow and denoiser of `processes`, each in one program."""

  @jax.jit
  def flow(index, line, x, t, s):
    return exact_flow(choose(processes, index), line, x, t, s)

  @jax.jit
  def denoise(index, line, x, t):
    truth = _truth(choose(processes, index), line)
    return truth.denoiser(x[:, None], t)[:, 0]

  return Truth(flow, denoise)


def affine(
    run: Run, index: int, line: Line, times: Array
) -> tuple[float, float, np.ndarray] | None:
  """(offset, factor, stds): x at the end is offset + factor x + stds . noise.

  Exact where every step is affine, as on one Gaussian; None where x at the end
  is not, or not finite.
  """
  x = np.zeros(ROWS)
  x[1:3] = 1.0, 2.0
  first = run(index, line, x, times, noises())
  offset, one, two = (float(v) for v in np.asarray(first.x)[:3])
  factor, draws = one - offset, int(first.draws)
  if draws > _RECORDED or not np.allclose(two - offset, 2 * factor, atol=1e-9):
    return None
  codes = np.unique(np.asarray(first.codes)[:draws])
  stds = []
  for part in np.array_split(codes, max(1, -(-len(codes) // ROWS))):
    slot = np.full(ROWS, -1)
    slot[:len(part)] = part
    out = run(index, line, np.zeros(ROWS), times, noises(slot))
    stds.append(np.asarray(out.x)[:len(part)] - offset)
  return offset, factor, np.concatenate(stds)


@functools.cache
def nodes() -> tuple[np.ndarray, np.ndarray]:
  """Standard normal quantiles [ROWS] and their weights, which add up to 1."""
  z = np.linspace(-6.5, 6.5, ROWS)
  density = np.exp(-z**2 / 2)
  return z, density / density.sum()
