"""How an experiment is guessed, against closed forms."""

import math

import numpy as np
import pytest

from genjax.reports import guess

NAMES = list(guess.CANDIDATES)


def _evidence(heads, tails):
  """Of one string under Beta(1, 1)."""
  return (math.factorial(heads) * math.factorial(tails)
          / math.factorial(heads + tails + 1))


def test_guess_evidence_is_the_closed_form():
  verdict = guess.guess(guess.parse_tosses('HTTHH'))
  # Repeats of HTTHH: no, yes, no, yes. First coin H T H, second T H.
  want = [2**-5, _evidence(3, 2), 0.5 * _evidence(2, 2),
          _evidence(2, 1) * _evidence(1, 1)]
  assert want[1] == 6 * 2 / 720
  np.testing.assert_allclose(np.exp(verdict.log_evidence[:, -1]), want,
                             rtol=1e-5)  # float32, five sums
  np.testing.assert_allclose(verdict.posterior[:, -1],
                             np.array(want) / sum(want), rtol=1e-5)
  np.testing.assert_allclose(verdict.next_heads, [1 / 2, 4 / 7, 1 / 2, 1 / 2],
                             rtol=1e-5)


def test_guess_of_a_prefix_is_the_verdict_on_the_way():
  x = guess.parse_tosses('HTTHHHTH')
  whole = guess.guess(x)
  part = guess.guess(x[:5])
  np.testing.assert_allclose(whole.log_evidence[:, :6], part.log_evidence,
                             atol=1e-6)
  np.testing.assert_array_equal(whole.posterior[:, 0], 0.25)
  np.testing.assert_allclose(whole.posterior.sum(0), 1, rtol=1e-12)


def _draw(name, num, rng):
  """A string of tosses [num] of one candidate, of known biases."""
  u = rng.random(num)
  if name == 'sticky coin':
    return np.cumsum(np.append(u[0] < 0.5, u[1:] > 0.8)) % 2
  bias = {'fair coin': 0.5, 'biased coin': 0.8,
          'two coins in turn': np.where(np.arange(num) % 2, 0.75, 0.2)}[name]
  return u < bias


@pytest.mark.parametrize('name', NAMES)
def test_guess_recognises_a_long_string(name):
  """A coin too many costs a factor of about sqrt(N).

  So luck of 2.5 standard errors undoes it: in some 2 of 100 strings, with three
  candidates for it.
  """
  rng = np.random.default_rng(0)
  verdicts = [guess.guess(_draw(name, 1000, rng).astype(np.int32))
              for _ in range(20)]
  best = [NAMES[np.argmax(v.posterior[:, -1])] for v in verdicts]
  assert best.count(name) >= 17
