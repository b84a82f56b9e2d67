"""What is said of losses of which it is known how they go on."""

import numpy as np
import pytest

from genjax.metrics.progress import lag
from genjax.metrics.progress import progress
from genjax.metrics.progress import sentence

_STEPS = tuple(range(100, 1100, 100))


def losses(rng, level, num, noise=.02):
  """[S, num]: each example has its own, moved by its level at each step."""
  hard = rng.gamma(4.0, .25, num)
  return hard + np.asarray(level)[:, None] + noise * rng.normal(
      size=(len(level), num))


def judged(seed, train, test, num=200):
  rng = np.random.default_rng(seed)
  return progress(_STEPS, losses(rng, train, num), losses(rng, test, num))


def test_a_loss_that_falls_is_improving():
  falls = np.linspace(1, 0, 10)
  found = judged(0, falls, falls)
  assert found == (True, None, None, 1000)
  assert sentence(found) == 'still improving'


def test_a_loss_that_has_fallen_is_flat_since_then():
  """A spread of .02 over 200 examples tells levels .01 apart."""
  level = np.maximum(np.linspace(.5, -.4, 10), 0.)  # 0 from step 600 on
  found = judged(0, level, level)
  assert not found.improving and found.memorising_since is None
  assert found.flat_since == 600
  assert sentence(found).startswith('flat since step 600: ')


def test_a_held_out_loss_that_rises_is_memorising_since_its_least():
  falls = np.linspace(1, 0, 10)
  found = judged(0, falls, np.abs(np.arange(10) - 4) / 10)
  assert (found.memorising_since, found.best) == (500, 500)
  assert sentence(found).startswith('memorising since step 500: ')
  assert sentence(found).endswith('keep step 500')


def test_losses_that_part_by_three_of_their_intervals_are_told():
  """Of losses that spread by .5, of 200 each: .14 half an interval apart."""
  half = 1.972 * np.hypot(*[.5 / np.sqrt(200)] * 2)  # t of 199 degrees
  falls = np.linspace(1, 0, 10)
  gap = np.where(np.arange(10) >= 6, 3.5 * half, 0.)
  for seed in range(20):
    found = judged(seed, falls - gap, falls)
    assert found.memorising_since == 700 and found.improving
  assert sentence(found).startswith('still improving, but memorising since')


def test_twenty_sets_of_fresh_draws_are_never_called_memorised():
  level = np.maximum(np.linspace(.5, -.4, 10), 0.)
  for seed in range(20):
    assert judged(seed, level, level).memorising_since is None


def test_an_average_lags_where_it_is_worse_by_more_than_its_error():
  """Of paired differences with standard deviation 1: of 100 the error is .1,
  however far apart the examples are."""
  rng = np.random.default_rng(0)
  own, noise = 100 * rng.normal(size=100), rng.normal(size=100)
  noise = (noise - noise.mean()) / noise.std(ddof=1)
  for shift, lags in ((1.0, True), (.1, False), (-1.0, False)):
    found = lag(own + shift + noise, own)
    assert found.value == pytest.approx(shift)
    assert found.high - shift == pytest.approx(.1984, abs=1e-4)
    assert (found.low > 0) == lags


@pytest.mark.parametrize('steps, train, test, message', [
    ([], (0, 5), (0, 5), 'one or more steps'),
    ([1, 2], (2, 5), (1, 5), 'one or more steps, got 2, 1 and 2'),
    ([1], (1, 5), (1, 1), '2 examples or more, got 5 and 1')])
def test_what_cannot_be_judged_is_refused(steps, train, test, message):
  with pytest.raises(ValueError, match=message):
    progress(steps, np.zeros(train), np.zeros(test))
