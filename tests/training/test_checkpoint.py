import contextlib
import glob
import os
import shutil
import subprocess
import sys

from absl import logging
import chex
import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec
import numpy as np
import optax
import pytest

from genjax.training import leaves
from genjax.training.checkpoint import Checkpointer
from genjax.training.optimizers import make_optimizer
from genjax.training.optimizers import OPTIMIZERS
from genjax.training.parallel import make_mesh
from genjax.training.state import init_state

TX = optax.adam(0.1)


def make_state(step):
  """A state of several dtypes, different at every step, as numpy arrays."""
  random = np.random.default_rng(step)
  params = {'w': random.normal(size=(64, 32)).astype(np.float32),
            'half': jnp.asarray(random.normal(size=3), jnp.bfloat16)}
  state = init_state(params, TX, ['ema'])
  return jax.tree.map(np.array, state._replace(step=jnp.int32(step)))


SMALL = jax.tree.map(np.array, init_state(np.zeros(2), optax.sgd(0.1)))
TARGET = jax.tree.map(
    lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), make_state(0))


def test_a_checkpoint_is_refused_where_the_disk_is_too_full(saved, monkeypatch):
  """In a line, before anything is deleted or written."""
  size = sum(x.nbytes for x in jax.tree.leaves(make_state(4)))
  usage, before = shutil.disk_usage(saved), sorted(os.listdir(saved))
  with contextlib.closing(Checkpointer(saved)) as checkpointer:
    monkeypatch.setattr(shutil, 'disk_usage',
                        lambda path: usage._replace(free=size))
    with pytest.raises(OSError, match=(
        r'^save: checkpoint 3 takes 1\.\d MiB, and .*/checkpoints has room for '
        r'0\.\d: make room, and the same command goes on$')):
      checkpointer.save(3, make_state(4))
    assert sorted(os.listdir(saved)) == before
    monkeypatch.undo()
    checkpointer.save(4, make_state(4))
    checkpointer.wait()
    assert checkpointer.steps()[-1] == 4


@pytest.mark.parametrize('name', OPTIMIZERS)
def test_the_state_of_every_optimizer_comes_back(checkpointer, name):
  """What it remembers is there after two steps; kernels and the rest."""
  tx = make_optimizer(0.1, 10, name=name, warmup_steps=0)
  state = init_state({'kernel': jnp.ones((3, 3, 2, 4)), 'bias': jnp.ones(4)},
                     tx, ['ema'])

  @jax.jit
  def step(state, key):
    grads = jax.tree.map(lambda x: jax.random.normal(key, x.shape),
                         state.params)
    updates, opt_state = tx.update(grads, state.opt_state, state.params)
    return state._replace(step=state.step + 1, opt_state=opt_state,
                          params=optax.apply_updates(state.params, updates))

  for key in jax.random.split(jax.random.key(0)):
    state = step(state, key)
  state = jax.tree.map(np.array, state)
  checkpointer.save(2, state)
  restored, _ = checkpointer.restore(jax.eval_shape(lambda: state))
  chex.assert_trees_all_equal(restored, state)
  assert any(np.any(x != 0) for x in jax.tree.leaves(restored.opt_state)
             if np.shape(x) == (3, 3, 2, 4))


@pytest.fixture
def checkpointer(tmp_path):
  checkpointer = Checkpointer(tmp_path / 'checkpoints')
  yield checkpointer
  checkpointer.close()


@pytest.fixture
def warnings(monkeypatch):
  """What is logged as a warning."""
  lines = []
  monkeypatch.setattr(
      logging, 'warning', lambda text, *args: lines.append(text % args))
  return lines


@pytest.fixture(scope='module')
def three_saved(tmp_path_factory):
  """A directory with checkpoints of steps 1 (the best), 2 and 3."""
  directory = tmp_path_factory.mktemp('saved') / 'checkpoints'
  checkpointer = Checkpointer(directory)
  for step in (1, 2, 3):
    checkpointer.save(step, make_state(step), metric=float(step))
  checkpointer.close()
  return directory


@pytest.fixture
def saved(three_saved, tmp_path):
  """A copy of `three_saved`, to be damaged."""
  return shutil.copytree(three_saved, tmp_path / 'checkpoints')


def flip(path, where=0.5):
  """Flips one bit of a file."""
  with open(path, 'r+b') as file:
    data = bytearray(file.read())
    data[int(where * len(data))] ^= 4
    file.seek(0)
    file.write(data)


def damage(directory, step):
  """Flips a bit of every file that holds arrays."""
  for path in glob.glob(f'{directory}/{step}/weights/**', recursive=True):
    if os.path.isfile(path) and os.path.getsize(path):
      flip(path)


def test_restore_gives_back_every_bit(checkpointer):
  state = make_state(7)
  checkpointer.save(7, state)
  checkpointer.wait()
  restored, step = checkpointer.restore(TARGET)
  assert step == 7
  chex.assert_trees_all_equal(restored, state)
  chex.assert_trees_all_equal_dtypes(restored, state)
  assert jax.tree.structure(restored) == jax.tree.structure(state)


def test_restore_of_nothing_is_none(checkpointer, tmp_path):
  assert checkpointer.restore(TARGET) is None
  assert checkpointer.steps() == [] and checkpointer.best_step() is None
  # Reading makes nothing, not even a directory.
  assert not os.path.exists(tmp_path / 'checkpoints')


@pytest.mark.parametrize('num_devices', [1, 2, 8])
def test_restore_places_by_the_sharding_of_the_target(saved, num_devices):
  sharding = NamedSharding(make_mesh(num_devices), PartitionSpec())
  target = jax.tree.map(lambda x: jax.device_put(jnp.zeros_like(x), sharding),
                        make_state(0))
  state, _ = Checkpointer(saved).restore(target)
  chex.assert_trees_all_equal(state, make_state(3))
  assert state.params['w'].sharding == sharding


@pytest.mark.parametrize('metrics, kept, best', [
    ([None] * 5, [4, 5], None),
    ([3.0, 1.0, 2.0, 4.0, 5.0], [2, 4, 5], 2),
    ([3.0, None, 2.0, None, 1.0], [4, 5], 5),
    ([3.0, np.nan, 4.0, np.nan, 5.0], [1, 4, 5], 1),
    ([-np.inf, 2.0, 4.0, None, None], [2, 4, 5], 2),
])
def test_save_keeps_the_latest_two_and_the_best(
    checkpointer, tmp_path, metrics, kept, best):
  for step, metric in enumerate(metrics, 1):
    checkpointer.save(step, SMALL, metric)
    if step == 3:  # a restart forgets nothing
      checkpointer.close()
  checkpointer.wait()
  assert checkpointer.steps() == kept
  assert checkpointer.best_step() == best


def test_restore_falls_back_from_damage_with_a_warning(saved, warnings):
  damage(saved, 3)
  state, step = Checkpointer(saved).restore(TARGET)
  assert step == 2
  chex.assert_trees_all_equal(state, make_state(2))
  assert len(warnings) == 1
  assert f'checkpoint 3 in {saved} is damaged' in warnings[0]
  assert warnings[0].endswith('falling back')


def test_restore_sees_a_bit_that_orbax_does_not_miss(saved, warnings):
  # Small arrays lie in pages that have a checksum of their own; those of a
  # kilobyte and more have none, and orbax gives them back wrong.
  largest = max((path for path in glob.glob(f'{saved}/3/weights/**/d/*',
                                            recursive=True)),
                key=os.path.getsize)
  flip(largest)
  assert Checkpointer(saved).restore(TARGET)[1] == 2
  assert len(warnings) == 1 and 'is damaged (checksum of [' in warnings[0]


def test_restore_is_never_silently_wrong(saved, warnings):
  paths = [path for path in sorted(glob.glob(f'{saved}/3/**', recursive=True))
           if os.path.isfile(path) and os.path.getsize(path)]
  for seed, path in enumerate(paths):
    with open(path, 'rb') as file:
      data = file.read()
    flip(path, np.random.default_rng(seed).uniform())
    warnings.clear()
    state, step = Checkpointer(saved).restore(TARGET)
    chex.assert_trees_all_equal(state, make_state(step))
    assert step == 3 or warnings
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, 'wb') as file:
      file.write(data)


def test_save_replaces_what_is_damaged_and_later(saved, warnings):
  damage(saved, 3)
  checkpointer = Checkpointer(saved)
  _, step = checkpointer.restore(TARGET)
  assert step == 2 and warnings
  checkpointer.save(3, make_state(33))
  checkpointer.wait()
  restored, step = checkpointer.restore(TARGET)
  assert step == 3
  chex.assert_trees_all_equal(restored, make_state(33))
  checkpointer.save(1, make_state(11))
  checkpointer.wait()
  assert checkpointer.steps() == [1]
  checkpointer.close()


def test_restore_of_one_step_reads_that_or_fails(saved, warnings):
  checkpointer = Checkpointer(saved)
  state, step = checkpointer.restore(TARGET, step=1)
  assert step == 1
  chex.assert_trees_all_equal(state, make_state(1))
  damage(saved, 2)
  with pytest.raises(RuntimeError, match=r'no whole checkpoint .* \[2\]'):
    checkpointer.restore(TARGET, step=2)
  with pytest.raises(ValueError, match=r'step must be one of \[1, 2, 3\]'):
    checkpointer.restore(TARGET, step=4)
  assert len(warnings) == 1


def test_restore_with_all_damaged_deletes_nothing(saved, warnings):
  for step in (1, 2, 3):
    damage(saved, step)
  with pytest.raises(RuntimeError, match='no whole checkpoint left in'):
    Checkpointer(saved).restore(TARGET)
  assert len(warnings) == 3
  assert {'1', '2', '3'} <= set(os.listdir(saved))


def test_damaged_metrics_cost_only_the_rank(saved, warnings):
  flip(saved / '1' / 'metrics' / 'metrics', 0.0)
  checkpointer = Checkpointer(saved)
  assert checkpointer.restore(TARGET)[1] == 3
  assert checkpointer.best_step() == 2
  assert len(warnings) == 1 and 'not ranked' in warnings[0]


@pytest.mark.parametrize('change, message', [
    (lambda s: s._replace(averages={}),
     r"\['averages'\]\['ema'\]\['half'\] must be .* got none"),
    (lambda s: s._replace(params=dict(s.params, more=np.zeros(3))),
     r"\['params'\]\['more'\] must be absent"),
    (lambda s: s._replace(params=dict(s.params, w=np.zeros((8, 8)))),
     r"\['params'\]\['w'\] must be \[\[64, 32\], 'float32'\]"),
    (lambda s: s._replace(opt_state=()), r"\['opt_state'\].* must be .* got"),
    (lambda s: s._replace(params=dict(s.params, w=jnp.zeros(
        (64, 32), jnp.bfloat16))), 'bfloat16'),
])
def test_restore_refuses_another_tree(saved, warnings, change, message):
  with pytest.raises(ValueError, match=f'restore: .*{message}'):
    Checkpointer(saved).restore(change(make_state(0)))
  assert not warnings  # nothing is wrong with the checkpoint


def test_checkpointer_is_silent_and_loads_orbax_late(tmp_path):
  program = f'''
import sys
import numpy as np
from absl import logging
from genjax.training import checkpoint, loop, logs, parallel, state
small = state.State(np.int32(0), np.zeros(2), (), dict(), dict(), np.int32(0))
checkpointer = checkpoint.Checkpointer({str(tmp_path / 'c')!r})
assert checkpointer.restore(small) is None
for name in ('orbax', 'tensorboardX', 'matplotlib', 'tensorflow'):
  assert not any(m.split('.')[0] == name for m in sys.modules), name
logging.set_verbosity(logging.INFO)
for step in (1, 2, 3, 4):
  checkpointer.save(step, small, metric=None if step == 2 else 1)
checkpointer.wait()
checkpointer.restore(small)
checkpointer.close()
'''
  done = subprocess.run([sys.executable, '-c', program], capture_output=True,
                        text=True, timeout=120)
  assert (done.returncode, done.stdout, done.stderr) == (0, '', '')


WEIGHTS = {'params': TARGET.params, 'averages': TARGET.averages}


def test_weights_are_restored_without_an_optimizer(saved, warnings):
  # Whatever has become of the optimizer's part.
  shutil.rmtree(saved / '3' / 'training')
  weights, step = Checkpointer(saved).restore_fields(WEIGHTS)
  state = make_state(3)
  assert step == 3 and not warnings
  chex.assert_trees_all_equal(
      weights, {'params': state.params, 'averages': state.averages})


def test_another_optimizer_is_no_damage(saved, warnings):
  target = init_state(make_state(0).params, optax.sgd(0.1, 0.9), ['ema'])
  with pytest.raises(ValueError, match=r"restore: \['opt_state'\]"):
    Checkpointer(saved).restore(target)
  assert not warnings


@pytest.mark.parametrize('as_step, message', [
    (9, r'checkpoint 9 in .* must be of step 9: .* got one of step 3'),
    (3, r"checkpoint 3 in .* must be of run : .* got one of run other"),
])
def test_a_checkpoint_of_another_step_or_run_is_refused(
    saved, tmp_path, as_step, message):
  if as_step == 3:
    shutil.rmtree(saved)
    other = Checkpointer(saved, run='other')
    other.save(3, make_state(3))
    other.close()
  else:
    os.rename(saved / '3', saved / '9')
  for restore in (lambda c: c.restore(TARGET),
                  lambda c: c.restore_fields(WEIGHTS)):
    with pytest.raises(ValueError, match=message):
      restore(Checkpointer(saved))


def test_a_flipped_bit_of_the_metadata_is_damage(saved, warnings):
  path, = glob.glob(f'{saved}/3/meta/metadata')
  with open(path, encoding='utf8') as file:
    text = file.read()
  # A name: what is there would not fit the state, though the state is right.
  with open(path, 'w', encoding='utf8') as file:
    file.write(text.replace('half', 'hamf'))
  assert Checkpointer(saved).restore(TARGET)[1] == 2
  assert len(warnings) == 1 and 'checksum of its metadata' in warnings[0]


@pytest.mark.parametrize('name', [
    'lr=[0.1]', 'a*b', 'what?', 'back\\slash', 'gs:', '{x}', '~', 'a b'])
def test_any_name_of_a_folder_does(tmp_path, name, monkeypatch):
  monkeypatch.chdir(tmp_path)
  state = make_state(4)
  with contextlib.closing(Checkpointer(f'{name}/checkpoints')) as checkpointer:
    for step in (4, 5):
      checkpointer.save(step, state)
  with contextlib.closing(Checkpointer(f'{name}/checkpoints')) as checkpointer:
    restored, step = checkpointer.restore(TARGET)
  assert step == 5
  chex.assert_trees_all_equal(restored, state)
  assert os.listdir(tmp_path) == [name]


def test_the_first_save_is_read_back(checkpointer, monkeypatch):
  describe, calls = leaves.describe, []

  def never_twice_the_same(arrays):
    calls.append(arrays)
    return {name: [*leaf[:2], f'{leaf[2]}{len(calls)}']
            for name, leaf in describe(arrays).items()}

  monkeypatch.setattr(leaves, 'describe', never_twice_the_same)
  with pytest.raises(OSError, match='cannot be read back'):
    checkpointer.save(1, make_state(1))


def test_what_is_frozen_is_written_once_and_comes_back(tmp_path, warnings):
  teacher = {'w': np.arange(3000, dtype=np.float32)}
  states = [make_state(step)._replace(frozen=teacher) for step in range(4)]
  for step in (1, 2):  # two processes
    with contextlib.closing(Checkpointer(tmp_path)) as checkpointer:
      checkpointer.save(step, states[step])
  path, = glob.glob(f'{tmp_path}/frozen')
  before = os.stat(path).st_mtime_ns
  with contextlib.closing(Checkpointer(tmp_path)) as checkpointer:
    checkpointer.save(3, states[3])
    assert checkpointer.steps() == [2, 3]
    assert os.stat(path).st_mtime_ns == before
    restored, _ = checkpointer.restore(states[0])
    chex.assert_trees_all_equal(restored, states[3])
    flip(max(glob.glob(f'{path}/**/d/*', recursive=True), key=os.path.getsize))
    with pytest.raises(RuntimeError, match='no whole checkpoint'):
      checkpointer.restore(states[0])
    # Weights do not need it.
    assert checkpointer.restore_fields(WEIGHTS)[1] == 3
  assert any("checksum of ['frozen']['w']" in line for line in warnings)
