"""What the benchmark computes of its clock, and what it needs."""

import sys

import jax.numpy as jnp
import pytest

from experiments import benchmark


def test_measure_is_the_ratio_to_the_faster_of_the_others():
  """On a clock that each library moves by a known time."""
  now = [0.0]

  def takes(seconds):
    def call(x):
      now[0] += seconds  # while it is traced: once, in the compilation
      return x
    return call

  # Reading the clock takes 1 s, which is all that running costs then.
  def clock():
    now[0] += 1.0
    return now[0]

  case = benchmark.Case(
      {'genjax': takes(3.0), 'a': takes(15.0), 'b': takes(7.0)},
      (jnp.ones(2),), None)
  row = benchmark.measure(case, 3, clock, clock)
  assert row == (1.0, 1.0, 1.0, 2.0)  # (7 + 1) / (3 + 1) to compile


def test_check_agreement_sees_a_library_that_differs():
  case = benchmark.Case({'genjax': lambda x: x, 'other': lambda x: x + 1e-3},
                        (jnp.ones(2),), 1e-4)
  with pytest.raises(ValueError, match='toy: other must agree'):
    benchmark.check_agreement('toy', case)
  benchmark.check_agreement('toy', case._replace(rtol=1e-2))


@pytest.mark.parametrize('words, said', [
    ([], 'must be told one of distributions, cdf, got nothing'),
    (['diffusion'], 'must be told one of distributions, cdf, got diffusion'),
    (['distributions', 'fast'], 'got distributions fast'),
])
def test_benchmark_wants_the_name_of_a_suite(run, tmp_path, words, said):
  result = run(benchmark, f'--workdir={tmp_path}/x', *words)
  assert result.code == 1 and result.err.count('\n') == 1
  assert said in result.err


def test_benchmark_says_what_to_install(run, tmp_path, monkeypatch):
  monkeypatch.setitem(sys.modules, 'distrax', None)  # importing it fails
  result = run(benchmark, 'distributions', f'--workdir={tmp_path}/x')
  assert result.code == 1 and result.err.count('\n') == 1
  assert 'needs distrax' in result.err and '[bench]' in result.err
  assert not (tmp_path / 'x').exists()
