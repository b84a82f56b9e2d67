"""The time that a training has left, by a clock that the test moves."""

import time

import numpy as np
import pytest

from genjax.training import clock as clocks


@pytest.fixture
def now(monkeypatch):
  """[seconds], that `perf_counter` tells."""
  seconds = [0.0]
  monkeypatch.setattr(time, 'perf_counter', lambda: seconds[0])
  return seconds


def _pass(now, clock, steps, every, costs, start=0):
  """Runs `steps` of one second; what is done beside them costs `costs`."""
  for step in range(start + 1, steps + 1):
    now[0] += 20.0 if step == start + 1 else 1.0  # the first one compiles
    clock.tick(step)
    for name, cost in costs.items():
      if step % every[name] == 0:
        with clock.beside(name):
          now[0] += cost


@pytest.mark.parametrize('start', [0, 200])
def test_the_time_left_is_that_of_the_steps_and_of_what_is_beside_them(
    now, start):
  every, costs = {'hook': 50, 'save': 30}, {'hook': 7.0, 'save': 2.0}
  clock = clocks.Clock(start, 1000, every)
  _pass(now, clock, start + 105, every, costs, start)
  done = start + 105
  hooks, saves = 1000 // 50 - done // 50, 34 - done // 30
  assert clock.left() == pytest.approx(1000 - done + 7 * hooks + 2 * saves)


def test_a_tenth_of_a_run_tells_the_rest_within_a_fifth(now):
  """What has not been done yet counts for nothing, and may take a twentieth."""
  every, costs = {'hook': 125}, {'hook': 125 / 19}
  clock = clocks.Clock(0, 1000, every)
  _pass(now, clock, 100, every, costs)
  told, at = clock.left(), now[0]
  for step in range(101, 1001):
    now[0] += 1.0
    clock.tick(step)
    if step % 125 == 0:
      with clock.beside('hook'):
        now[0] += costs['hook']
  assert told == pytest.approx(now[0] - at, rel=.2)
  assert clock.share('hook') == pytest.approx(.05, rel=.02)
  assert clock.left() == 0


@pytest.mark.parametrize('every, cost', [
    (10, 2.5), (40, 10.), (50, 12.5), (125, 125 / 19)])
def test_a_tenth_tells_the_rest_within_a_fifth_though_times_vary(
    now, every, cost):
  """Steps by 30 %, checkpoints by 10 %; the first ones, which compile, more.

  Of 97 steps the mean errs by 3 %, of four standard deviations 12. Checkpoints
  take a fifth of the time and tell it by the last: 8 % of four deviations. What
  has not been done by then takes a twentieth, which is not told.
  """
  for seed in range(20):
    rng, left, at = np.random.default_rng(seed), None, 0.0
    clock = clocks.Clock(0, 1000, {'hook': every})
    for step in range(1, 1001):
      now[0] += rng.gamma(11, 1 / 11) + 20.0 * (step <= 3)
      clock.tick(step)
      if step % every == 0:
        with clock.beside('hook'):
          now[0] += cost * rng.gamma(100, 1 / 100) + 30.0 * (step == every)
      if step == 100:
        left, at = clock.left(), now[0]
    assert left == pytest.approx(now[0] - at, rel=.2)


def test_nothing_is_told_before_a_step_is_known(now):
  clock = clocks.Clock(0, 10, {})
  assert clock.left() is None and clock.share('hook') == 0
  _pass(now, clock, 3, {}, {})
  assert clock.left() is None
  now[0] += 1.
  clock.tick(4)
  assert clock.left() == 6


@pytest.mark.parametrize('seconds, said', [
    (1.4, '1 s'), (89, '89 s'), (90, '2 min'), (1700, '28 min'),
    (5400, '1.5 h'), (90_000, '25.0 h')])
def test_a_time_is_said_as_a_person_would(seconds, said):
  assert clocks.in_words(seconds) == said
