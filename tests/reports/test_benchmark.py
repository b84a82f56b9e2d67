"""What the benchmark computes of its clock, and what it writes."""

import jax.numpy as jnp
import pytest

from genjax.reports import benchmark
from genjax.reports.benchmark import Case


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

  case = Case(
      {'genjax': takes(3.0), 'a': takes(15.0), 'b': takes(7.0)},
      (jnp.ones(2),), None)
  row = benchmark.measure(case, 3, clock, clock)
  assert row == (1.0, 1.0, 1.0, 2.0)  # (7 + 1) / (3 + 1) to compile


def test_check_agreement_sees_a_library_that_differs():
  case = Case({'genjax': lambda x: x, 'other': lambda x: x + 1e-3},
                        (jnp.ones(2),), 1e-4)
  with pytest.raises(ValueError, match='toy: other must agree'):
    benchmark.check_agreement('toy', case)
  benchmark.check_agreement('toy', case._replace(rtol=1e-2))


def test_cases_table_has_a_row_a_case():
  cases = {name: Case({'genjax': lambda x: x, 'other': lambda x: 2 * x},
                      (jnp.ones(2),), None) for name in ('a', 'b')}
  said = []
  table = benchmark.cases_table(
      cases, benchmark.Settings(rounds=3), 1, said.append)
  assert said == ['timing a', 'timing b']
  assert [row[0] for row in table.rows] == ['a', 'b']
  for _, speed, low, high, compiling in table.rows:
    assert 0 < low <= speed <= high and compiling > 0
