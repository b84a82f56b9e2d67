"""A profile holds the steps that were asked for, and changes nothing."""

import glob
import gzip
import json
import os
import signal

import chex
import pytest

from genjax.training.checkpoint import Checkpointer
from genjax.training.loop import fit
from genjax.training.loop import Hook
from genjax.training.parallel import compile_step
from genjax.training.parallel import make_mesh
from genjax.training.profile import Profile
from genjax.training.profile import profiled_steps
from genjax.training.state import init_state
from genjax.training.step import make_step


@pytest.fixture(name='train', scope='module')
def _train(problem):
  """train(folder, num_steps, profiled, ...): goes on there; the outcome."""
  compiled = compile_step(
      make_step(problem.loss_fn, problem.tx, averages=problem.averages),
      make_mesh(1))

  def train(folder, num_steps, profiled=None, stop_at=None):
    def stop(state, step):
      if step == stop_at:
        os.kill(os.getpid(), signal.SIGTERM)

    checkpointer = Checkpointer(str(folder / 'checkpoints'))
    try:
      return fit(compiled, init_state(problem.params, problem.tx, ['ema']),
                 problem.key, problem.batches_from, num_steps=num_steps,
                 checkpointer=checkpointer, hooks=[Hook(1, stop)],
                 profile=Profile(profiled_steps(profiled, num_steps),
                                 str(folder)))
    finally:
      checkpointer.close()

  return train


def steps_in(folder):
  """The steps that each trace in the folder of a run names, by its age."""
  found = []
  for path in sorted(glob.glob(f'{folder}/profile/**/*.trace.json.gz',
                               recursive=True), key=os.path.getmtime):
    assert glob.glob(os.path.join(os.path.dirname(path), '*.xplane.pb'))
    with gzip.open(path) as file:
      events = json.load(file)['traceEvents']
    found.append([int(event['args']['step_num']) for event in events
                  if event.get('name') == 'train'])
  return found


def test_the_steps_of_a_profile_are_those_of_its_range(train, tmp_path):
  profiled = train(tmp_path / 'a', 8, '3:5')
  assert steps_in(tmp_path / 'a') == [[3, 4, 5]]
  plain = train(tmp_path / 'b', 8)
  assert not os.path.exists(tmp_path / 'b' / 'profile')
  chex.assert_trees_all_equal(profiled.state, plain.state)
  # Past them nothing is traced again.
  train(tmp_path / 'a', 10, '3:5')
  assert steps_in(tmp_path / 'a') == [[3, 4, 5]]


def test_a_profile_that_is_cut_off_is_written(train, tmp_path):
  """By a signal here; what is left of its steps follows with the run's."""
  assert train(tmp_path, 9, '2:6', stop_at=4).stopped == signal.SIGTERM
  assert steps_in(tmp_path) == [[2, 3, 4]]
  # Folders of profiles are called by the second.
  os.rename(tmp_path / 'profile', tmp_path / 'first')
  train(tmp_path, 9, '2:6')
  assert steps_in(tmp_path) == [[5, 6]]


@pytest.mark.parametrize('text, steps', [
    (None, []), ('3:3', [3]), ('1:20', list(range(1, 21)))])
def test_a_range_holds_both_its_ends(text, steps):
  assert list(profiled_steps(text, 20)) == steps


@pytest.mark.parametrize('text', [
    '', ':', '5', '10:', '0:5', '7:6', '20:21', '1:2:3', '-1:3', 'a:b', '1.5:2',
    ' 1:2', '²:3'])
def test_what_is_no_range_of_steps_is_refused(text):
  with pytest.raises(ValueError, match='^profile_steps: must be a first and a '
                     'last step of the 20, such as 10:15, got '):
    profiled_steps(text, 20)
