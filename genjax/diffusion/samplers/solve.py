"""What a sampler is, a step from t to s < t, and the one scan that runs it.

State, carry and times are float32, or float64 where x is, whatever the dtype
of x: levels would be one in bfloat16, and its roundings add up over the steps.
"""

from typing import Any, Callable, NamedTuple, Protocol

import jax
import jax.numpy as jnp

from genjax.checks import check
from genjax.checks import check_index
from genjax.checks import check_order
from genjax.checks import known
from genjax.numerics import fold_in_each
from genjax.numerics import normal_each
from genjax.numerics import widen
from genjax.types import Array
from genjax.types import Denoiser
from genjax.types import Key
from genjax.types import Process
from genjax.types import Shape


class Span(NamedTuple):
  """One step of a grid: from t to s, the number `index` of `count`."""

  t: Array  # []
  s: Array  # []; below t, and above it where x is encoded
  # They hide tuple.index and tuple.count, which nobody needs of a span.
  index: Array  # type: ignore[assignment]  # [] int32, 0..count - 1
  count: int  # type: ignore[assignment]  # of the grid's steps, static


class Noise(Protocol):
  """The standard normal noise of one step, [B, ...] like x: its `number`-th.

  Each number is drawn independently of the others, and row i of a sample's own
  stream, whatever the batch size. `shape` is of a row, where it is not x's.
  """

  def __call__(
      self, number: int | Array = 0, shape: Shape | None = None
  ) -> Array:
    ...


class Step(Protocol):
  """One step of a solver: x [B, ...] at span.t to x at span.s.

  `noise` is all that a method may draw; `carry` is what a multistep method
  remembers.
  """

  def __call__(
      self, noise: Noise, carry: Any, x: Array, denoiser: Denoiser, span: Span
  ) -> tuple[Any, Array]:
    ...


class Sampler(NamedTuple):
  """A solver of the reverse process, said as two pure functions."""

  init: Callable[[Array], Any]  # x [B, ...] -> carry
  step: Step  # (noise, carry, x, denoiser, span) -> (carry, x at span.s)
  needs_alpha: bool = False  # whether it cannot start where alpha is 0


class Sampled(NamedTuple):
  """What a sampler ends with."""

  x: Array  # [B, ...] at the last time
  carry: Any  # what the sampler remembers then, float32 or wider
  states: Array | None  # [T + 1, B, ...] at every time, if asked for


def sample(
    key: Key, sampler: Sampler, denoiser: Denoiser, x: Array, times: Array, *,
    index: Array | None = None, trajectory: bool = False
) -> Sampled:
  """Runs the reverse process from x at times[0] to times[-1].

  Not jitted: jit a function of (params, key, x, times, cond) around it, and new
  values of these never recompile.

  Args:
    key: folded with each sample's index, then with the step, then with the
      number of its noise.
    sampler: the method.
    denoiser: (x, t) -> E[x_0 | x_t]; never evaluated where sigma is 0. It is
      given x in the dtype of `x`, and t in float32 or wider.
    x: [B, ...] at times[0], see `prior_sample`; whole numbers are taken as
      float32.
    times: [T + 1] strictly decreasing, of any dtype; the last may have
      sigma = 0. What else a grid must be is `check_grid`'s to say.
    index: [B] sample indices; 0..B-1 where absent.
    trajectory: whether to return every state.

  Returns:
    x [B, ...] at times[-1], what the sampler remembers, and with `trajectory`
    all states [T + 1, B, ...], the first being x; x and states of the dtype of
    x. NaN where times are traced and do not decrease.

  Raises:
    ValueError: times is not [T + 1] with T >= 1, or known and not decreasing;
      index is not [B].
  """
  _check_shape('sample', times)
  times = check_order('sample', 'times', widen(times), falling=True)
  return _solve('sample', key, sampler, denoiser, x, times, index, trajectory)


def _check_shape(where: str, times: Array) -> None:
  check(times.ndim == 1 and times.shape[0] >= 2, where,
        'times must be [T + 1] with T >= 1', f'shape {times.shape}')


def check_start(
    where: str, sampler: Sampler, process: Process, times: Array
) -> None:
  """Raises ValueError where `sampler` cannot start at the first of `times`.

  Times and schedules that are traced pass, and give NaN.
  """
  if sampler.needs_alpha and known(times) is not None:
    alpha = known(process.alpha(times[0]))
    check(alpha is None or bool(alpha > 0), where, 'must be one that can start '
          'at alpha = 0 (or take another process)', 'one that needs alpha > 0')


def _solve(where: str, key: Key, sampler: Sampler, denoiser: Denoiser, x: Array,
           times: Array, index: Array | None, trajectory: bool) -> Sampled:
  """`sample` along times in either direction."""
  x = jnp.asarray(x, jnp.result_type(x, float))
  index = jnp.arange(x.shape[0]) if index is None else index
  check_index(where, index, x.shape[0])
  return solve(_noise_of(key, index, widen(x)), sampler, denoiser, x, times,
               trajectory=trajectory)


def _noise_of(key: Key, index: Array, x: Array) -> Callable[[Array], Noise]:
  """The number of a step -> its noise, of the shape and dtype of x."""
  keys, dtype = fold_in_each(key, index), x.dtype

  def noise_of(step: Array) -> Noise:
    def noise(
        number: int | Array = 0, shape: Shape | None = None
    ) -> Array:
      own = jax.vmap(lambda k: jax.random.fold_in(
          jax.random.fold_in(k, step), number))(keys)
      return normal_each(own, x.shape[1:] if shape is None else shape, dtype)

    return noise

  return noise_of


def advance(
    key: Key, sampler: Sampler, denoiser: Denoiser, carry: Any, x: Array,
    times: Array, step: Array, *, index: Array
) -> tuple[Any, Array]:
  """One step of `sample`, for a loop that is not compiled.

  XLA computes derivatives of convolutions on a CPU tens of times slower within
  a compiled loop: what differentiates a denoiser is better looped over outside.

  Args:
    key, sampler, denoiser: of `sample`.
    carry: what the sampler remembers; at first `sampler.init(x)`.
    x: [B, ...] at times[step], float32 or wider.
    times: [T + 1].
    step: [] int, its number; may be traced.
    index: [B] sample indices.

  Returns:
    The next carry, and x at times[step + 1].
  """
  times = times.astype(x.dtype)
  return sampler.step(
      _noise_of(key, index, x)(step), carry, x, denoiser,
      Span(times[step], times[step + 1], step, times.shape[0] - 1))


def solve(
    noise_of: Callable[[Array], Noise], sampler: Sampler, denoiser: Denoiser,
    x: Array, times: Array, *, carry: Any = None, first: int = 0,
    trajectory: bool = False
) -> Sampled:
  """`sample` under given noise, and perhaps from the midst of a grid.

  Args:
    noise_of: number of a step [] -> its noise.
    sampler: the method.
    denoiser: as of `sample`.
    x: [B, ...] at times[first].
    times: [T + 1].
    carry: what the sampler remembers there; at the first time nothing.
    first: the number of the first step, static.
    trajectory: whether to return every state from `first` on.
  """
  x = jnp.asarray(x, jnp.result_type(x, float))
  given, x = x.dtype, widen(x)
  times, count = times.astype(x.dtype), times.shape[0] - 1

  def denoise(x: Array, t: Array) -> Array:
    return denoiser(x.astype(given), t).astype(x.dtype)

  def body(state, inputs):
    carry, x = state
    step, t, s = inputs
    state = sampler.step(noise_of(step), carry, x, denoise,
                         Span(t, s, step, count))
    return state, state[1] if trajectory else None

  steps = jnp.arange(first, count)
  (carry, last), states = jax.lax.scan(
      body, (sampler.init(x) if carry is None else carry, x),
      (steps, times[first:-1], times[first + 1:]))
  if trajectory:
    states = jnp.concatenate([x[None], states]).astype(given)
  return Sampled(last.astype(given), carry, states)


def encode(
    sampler: Sampler, denoiser: Denoiser, x: Array, times: Array
) -> Sampled:
  """The code of x: the probability-flow ODE from times[-1] up to times[0].

  Song et al., arXiv:2011.13456, sec. 4.3. `sample` from the code, by a method
  without noise and on the same grid, gives x back to the error of the solver.

  Args:
    sampler: one without noise; with noise in it NaN or wrong.
    denoiser: (x, t) -> E[x_0 | x_t]; evaluated at times[-1], and by heun at
      times[0].
    x: [B, ...] at times[-1]: alpha times the data, where noise is too little
      to show.
    times: [T + 1] strictly decreasing, as of `sample`. sigma is positive at the
      last, or the code is NaN: there every noise leads to the same x.

  Returns:
    The code [B, ...] at times[0] as its x, with the dtypes and NaN of `sample`.

  Raises:
    ValueError: times is not [T + 1] with T >= 1, or known and not decreasing.
  """
  unused = jax.random.key(0)
  _check_shape('encode', times)
  upwards = check_order('encode', 'times', widen(times), falling=True)[::-1]
  return _solve('encode', unused, sampler, denoiser, x, upwards, None, False)
