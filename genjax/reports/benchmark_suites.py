"""The tables of the benchmark, by name."""

from typing import Any, Callable, Mapping, NamedTuple

from genjax.reports import benchmark
from genjax.reports import benchmark_pairs
from genjax.reports import benchmark_processes
from genjax.reports import benchmark_sizes
from genjax.reports.table import Table

Say = Callable[[str], Any]


class Suite(NamedTuple):
  """A table of the benchmark."""

  # (settings) -> (say) -> table; ValueError where libraries are missing.
  prepare: Callable[[benchmark.Settings], Callable[[Say], Table]]
  caption: str


def _cases(make: Callable[[int, int], dict[str, benchmark.Case]],
           compilations: int
           ) -> Callable[[benchmark.Settings], Callable[[Say], Table]]:

  def prepare(settings: benchmark.Settings) -> Callable[[Say], Table]:
    cases = make(settings.num_points, settings.seed)
    return lambda say: benchmark.cases_table(cases, settings, compilations, say)

  return prepare


def _beside(measure: Callable[[benchmark.Settings, Say], Table]
            ) -> Callable[[benchmark.Settings], Callable[[Say], Table]]:
  """Of those that need PyTorch."""

  def prepare(settings: benchmark.Settings) -> Callable[[Say], Table]:
    benchmark_pairs.rival()
    return lambda say: measure(settings, say)

  return prepare


SUITES: Mapping[str, Suite] = {
    'distributions': Suite(
        _cases(benchmark.distribution_cases, 25),
        'ratios to the faster of the others, above 1 ours is faster'),
    'cdf': Suite(_cases(benchmark.cdf_cases, 3),
                 'ratios of the first named to the second'),
    'training': Suite(_beside(benchmark_pairs.training),
                      'one step of training beside PyTorch'),
    'sampling': Suite(
        _beside(benchmark_pairs.sampling),
        'samples by DDIM, and steps of samplers, beside diffusers'),
    'startup': Suite(
        _beside(benchmark_processes.startup),
        'from the command to the first step of training, beside PyTorch'),
    'memory': Suite(
        _beside(benchmark_processes.memory),
        'most memory of a process that trains, beside PyTorch'),
    'sizes': Suite(
        lambda settings: lambda say: benchmark_sizes.sizes(settings, say),
        'computed, not measured: what a training step of each preset takes, '
        f'of a batch of {benchmark_sizes.EACH} on each device'),
}
