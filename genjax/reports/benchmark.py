"""How fast it is: ratios of times, side by side in one process.

Of distributions only ratios are reported: machines are noisy and differ. Every
round times all libraries in turn, and a ratio is the median over the rounds of
the time of the faster of the others over ours: above 1 ours is faster. First
calls, which trace and compile, are timed in processor seconds, which other
programs stretch less than those on the wall. Before anything is timed, the
libraries must agree on the numbers. Networks are in `benchmark_pairs`.
"""

import dataclasses
import importlib
import time
from typing import Any, Callable, Mapping, NamedTuple, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from genjax import distributions as d
from genjax.checks import check
from genjax.reports import table as tables
from genjax.runs import fields
from genjax.runs import keys
from genjax.runs.settings import setting

_OURS = 'genjax'
_DIM, _COMPONENTS = 8, 8
_LARGE = 1e8


@dataclasses.dataclass(frozen=True)
class Settings:
  """Of a benchmark."""

  num_points: int = setting(1_000_000, low=1, high=10**9,
                            help='Number of points in a call.')
  rounds: int = setting(15, low=3, high=10**6, help='Number of rounds, in each '
                        'of which every library is timed.')
  seed: int = fields.seed()
  torch_compile: bool = setting(False, help='Whether PyTorch is timed as '
                                'torch.compile makes it, too: minutes of '
                                'compiling for each network.')
  peak: float | None = setting(
      None, above=0.0, high=1e6, help='What the device does at most, in '
      'TFLOP/s, of which the share is told that training reaches; absent, none '
      'is told.')
  only: str = setting('', help='Part of the names of the networks that are '
                      'timed; empty, all of them are.')
  topology: str = setting('', help='TPU slice for which sizes are computed, '
                          'such as v5e:4x4, which need not be there but needs '
                          'the package libtpu; empty, the devices at hand.')


class Case(NamedTuple):
  """One computation, done by every library."""

  calls: Mapping[str, Callable[..., Any]]  # library -> f(*args)
  args: Sequence[Any]
  # Largest relative difference allowed; None where the numbers differ.
  rtol: float | None = None


def distribution_cases(num_points: int, seed: int) -> dict[str, Case]:
  """What the promises on distributions are about.

  Raises:
    ValueError: the other libraries are not installed.
  """
  distrax, numpyro = map(library, ('distrax', 'numpyro.distributions'))
  rng = np.random.default_rng(seed)

  def array(*shape):
    return jnp.asarray(rng.normal(size=shape), jnp.float32)

  loc, scale, points = array(), jnp.exp(array()), array(num_points)
  vector = array(_DIM)
  tril = jnp.tril(0.3 * array(_DIM, _DIM), -1) + jnp.diag(
      jnp.exp(0.3 * array(_DIM)))
  logits, locs = array(_COMPONENTS), 3 * array(_COMPONENTS)
  scales = jnp.exp(0.3 * array(_COMPONENTS))
  cases = {}

  def add(name, ours, distrax, numpyro, params, x=None):
    """Cases of a family, which each library makes of its params."""
    dist, make = ours
    if x is not None:
      cases[f'{name} log_prob'] = Case({
          _OURS: lambda x, *p: dist.log_prob(make(*p), x),
          'distrax': lambda x, *p: distrax(*p).log_prob(x),
          'numpyro': lambda x, *p: numpyro(*p).log_prob(x),
      }, (x, *params), 1e-4)
    shape = (num_points,)
    cases[f'{name} sample'] = Case({
        _OURS: lambda key, *p: dist.sample(key, make(*p), shape),
        'distrax': lambda key, *p: distrax(*p).sample(
            seed=key, sample_shape=shape),
        'numpyro': lambda key, *p: numpyro(*p).sample(key, shape),
    }, (keys.key(seed, 'figure'), *params))

  add('normal', (d.normal, d.NormalParams), distrax.Normal, numpyro.Normal,
      (loc, scale), points)
  add(f'{_DIM}-D normal',
      (d.multivariate_normal, d.MultivariateNormalParams),
      distrax.MultivariateNormalTri,
      lambda loc, tril: numpyro.MultivariateNormal(loc, scale_tril=tril),
      (vector, tril), array(num_points, _DIM))
  add(f'mixture of {_COMPONENTS}',
      (d.mixture(d.normal),
       lambda logits, *p: d.MixtureParams(logits, d.NormalParams(*p))),
      lambda logits, *p: distrax.MixtureSameFamily(
          distrax.Categorical(logits), distrax.Normal(*p)),
      lambda logits, *p: numpyro.MixtureSameFamily(
          numpyro.Categorical(logits=logits), numpyro.Normal(*p)),
      (logits, locs, scales), points)
  add(f'categorical of {_COMPONENTS}',
      (d.categorical, d.CategoricalParams), distrax.Categorical,
      lambda logits: numpyro.Categorical(logits=logits), (logits,))
  return cases


def library(name: str) -> Any:
  """A module, of which ValueError says how to install it if it is not there.

  Raises:
    ValueError: it cannot be imported.
  """
  try:
    return importlib.import_module(name)
  except ImportError as error:
    raise ValueError(
        f'benchmark: needs {name.partition(".")[0]}: python -m pip install '
        f'-e ".[bench]", got {error}') from error


def cdf_cases(num_points: int, seed: int) -> dict[str, Case]:
  """What a cdf takes next to a log-density, and at large params.

  Points are within some standard deviations of the mean. The one that is timed
  as ours is the log-density, or the cdf of ordinary params: a ratio says how
  many times as long the other takes.
  """
  z = jnp.asarray(np.random.default_rng(seed).normal(size=num_points),
                  jnp.float32)

  def whole(mean, std):
    return jnp.maximum(jnp.round(mean + std * z), 0)

  def members(size):
    """Of each family one of about this size, and its points."""
    size = jnp.asarray(size)
    root, one = jnp.sqrt(size), jnp.ones(())
    return {
        'student_t': (d.student_t, d.StudentTParams(size, 0 * one, one), z),
        'gamma': (d.gamma, d.GammaParams(size, size),
                  jnp.maximum(1 + z / root, 0.01)),
        'beta': (d.beta, d.BetaParams(size, size),
                 jnp.clip(0.5 + 0.3 * z / root, 0.01, 0.99)),
        'binomial': (d.binomial, d.BinomialParams(2 * size, 0.3 * one),
                     jnp.minimum(whole(1.15 * size, 0.7 * root), 2 * size)),
        'poisson': (d.poisson, d.PoissonParams(size), whole(size, root)),
    }

  cases, large = {}, members(_LARGE)
  for name, (dist, *inputs) in members(8.0).items():
    cases[f'{name} cdf / log_prob'] = Case(
        {_OURS: dist.log_prob, 'cdf': dist.cdf}, inputs)
    cases[f'{name} cdf at {_LARGE:.0e} / at 8'] = Case(
        {_OURS: lambda small, large, cdf=dist.cdf: cdf(*small),
         'large': lambda small, large, cdf=dist.cdf: cdf(*large)},
        (inputs, large[name][1:]))
  return cases


def check_agreement(name: str, case: Case) -> None:
  """Raises ValueError unless all libraries compute the same numbers."""
  if case.rtol is None:
    return
  ours = case.calls[_OURS](*case.args)
  for library, call in case.calls.items():
    worst = float(jnp.max(jnp.abs(call(*case.args) - ours)
                          / jnp.maximum(1, jnp.abs(ours))))
    check(worst < case.rtol, name,
          f'{library} must agree with us to {case.rtol}', worst)


def measure(
    case: Case, rounds: int, clock: Callable[[], float] = time.perf_counter,
    cpu_clock: Callable[[], float] = time.process_time,
    compilations: int = 25
) -> tuple[float, float, float, float]:
  """Times every library of `case` in turn, `rounds` times over.

  Returns:
    Ratios: the median over the rounds, the least, the most; and the median of
    processor times to the first result.
  """

  def timed(call, clock=clock):
    start = clock()
    jax.block_until_ready(call(*case.args))
    return clock() - start

  def first(call):
    jax.clear_caches()  # what one library traced would help the next
    return timed(jax.jit(call), cpu_clock)

  compiling = _ratios(in_turn(first, case.calls, compilations))
  jitted = {name: jax.jit(call) for name, call in case.calls.items()}
  for call in jitted.values():
    timed(call)
  speed = _ratios(in_turn(timed, jitted, rounds))
  return (float(np.median(speed)), float(speed.min()), float(speed.max()),
          float(np.median(compiling)))


def seconds(call: Callable[[], Any]) -> float:
  """That a call takes, on the wall."""
  start = time.perf_counter()
  call()
  return time.perf_counter() - start


def in_turn(
    timed: Callable[[Any], float], calls: Mapping[str, Any], rounds: int
) -> dict[str, list[float]]:
  """Seconds of every call in every round, each other round in reverse."""
  times: dict[str, list[float]] = {name: [] for name in calls}
  for i in range(rounds):
    for name in list(calls)[::-1 if i % 2 else 1]:
      times[name].append(timed(calls[name]))
  return times


def _ratios(times: Mapping[str, Sequence[float]]) -> np.ndarray:
  """Time of the other that is fastest in the median over ours, by round."""
  fastest = min((rounds for name, rounds in times.items() if name != _OURS),
                key=np.median)
  return np.asarray(fastest) / np.asarray(times[_OURS])


def cases_table(
    cases: Mapping[str, Case], settings: Settings, compilations: int,
    say: Callable[[str], Any]
) -> tables.Table:
  """A row a case.

  Args:
    cases: what is timed.
    settings: of the benchmark.
    compilations: first calls that are timed.
    say: is told in a line what is being timed.

  Raises:
    ValueError: the libraries do not agree on the numbers.
  """
  rows = []
  for name, case in cases.items():
    say(f'timing {name}')
    check_agreement(name, case)
    rows.append((name, *measure(case, settings.rounds,
                                compilations=compilations)))
  return tables.make_table(
      ['case', *(tables.Column(name, title, '.2f') for name, title in (
          ('speed', 'median'), ('low', 'least'), ('high', 'most'),
          ('compile', 'compile')))], rows)
