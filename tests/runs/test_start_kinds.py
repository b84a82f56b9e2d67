"""Every kind that is trained may begin with the weights of another run."""

import contextlib
from typing import Any, NamedTuple

import chex
import jax
import numpy as np
import pytest

from genjax.data import embedded
from genjax.data import named
from genjax.data.sources import ArraySource
from genjax.runs import classifier
from genjax.runs import diffusion
from genjax.runs import fit
from genjax.runs import open_run
from genjax.runs import vae
from genjax.runs import workdir as workdirs
from genjax.runs.settings import check_settings
from genjax.training import leaves
from genjax.training.checkpoint import Checkpointer
from genjax.training.state import init_state

_DIGITS = tuple('0123456789')


class Kind(NamedTuple):
  """A small run of a kind, and how it is made unlike itself."""

  task: Any
  values: dict[str, Any]
  wider: dict[str, Any]
  wrong: str  # a parameter that is then of another shape


KINDS = {
    'classifier': Kind(classifier.TASK, {'width': (8,), 'features': 4,
                                         'groups': 2}, {'features': 6},
                       "['head']['kernel'] is (4, 10) there and (6, 10) here"),
    'diffusion': Kind(diffusion.TASK, {'network': 'dit', 'width': (8,)},
                      {'width': (16,)},
                      'is (1, 8, 8) there and (1, 16, 16) here'),
    'vae': Kind(vae.TASK, {'width': (8,), 'latents': 3}, {'latents': 5},
                "['decoder']"),
}


def settings_of(row, **values):
  settings = row.task.Settings(**{
      **row.values, 'class_names': _DIGITS, 'batch_size': 8, **values})
  check_settings(settings)
  return settings


def write_run(row, workdir):
  """A run whose average is not its last weights; returns both."""
  settings = settings_of(row)
  model = row.task.build(settings)
  shapes = jax.eval_shape(lambda key: model.init(key, None), jax.random.key(0))
  rng = np.random.default_rng(0)
  raw, ema = (jax.tree.map(lambda x: rng.normal(size=x.shape).astype(x.dtype),
                           shapes) for _ in range(2))
  state = init_state(raw, row.task.loss(settings, model).tx, model.averages)
  run = workdirs.create_or_check(workdir, row.task.kind, settings)
  with contextlib.closing(Checkpointer(f'{workdir}/checkpoints', run=run)) as (
      checkpointer):
    checkpointer.save(3, jax.tree.map(np.asarray, state._replace(
        averages={'ema': ema}, step=np.int32(3))))
  return raw, ema


def begun(row, monkeypatch, workdir, data=None, **values):
  """The state in which `fit_run` enters the loop."""

  class Reached(Exception):
    pass

  def stop(compiled, state, *args, **kwargs):
    raise Reached(state)

  with monkeypatch.context() as patch:
    patch.setattr(fit, 'check_memory', lambda *args: (0, None))
    patch.setattr(fit.loop, 'fit', stop)
    with pytest.raises(Reached) as reached:
      fit.fit_run(row.task, settings_of(row, **values),
                  data or named.open_data('digits'), workdir)
  return reached.value.args[0]


@pytest.mark.parametrize('kind', KINDS)
def test_a_run_begins_with_the_weights_and_the_average_of_another(
    kind, monkeypatch, tmp_path):
  """Bit for bit; and what does not fit is listed by name and shape."""
  row, other, workdir = KINDS[kind], f'{tmp_path}/a', f'{tmp_path}/b'
  raw, ema = write_run(row, other)
  state = begun(row, monkeypatch, workdir, init_from=other)
  chex.assert_trees_all_equal(state.params, raw)
  chex.assert_trees_all_equal(state.averages['ema'], ema)
  chex.assert_trees_all_equal(open_run(other).params, ema)
  assert (int(state.step), int(state.skipped)) == (0, 0)
  assert len(workdirs.read(workdir).values['init_id']) == 64

  with pytest.raises(ValueError, match='^init_from: must be a run of the same '
                     'network .* got ') as error:
    fit.fit_run(row.task, settings_of(row, init_from=other, **row.wider),
                named.open_data('digits'), f'{tmp_path}/c')
  assert row.wrong in str(error.value) and '\n' not in str(error.value)
  with pytest.raises(ValueError, match='^init_from: must be a run of kind '):
    kinds = [name for name in KINDS if name != kind]
    fit.fit_run(KINDS[kinds[0]].task, settings_of(
        KINDS[kinds[0]], init_from=other), named.open_data('digits'),
                f'{tmp_path}/d')
  for name in 'cd':
    assert not (tmp_path / name / 'settings.json').exists()


def test_the_head_of_a_classifier_of_other_classes_begins_afresh(
    monkeypatch, tmp_path, caplog):
  """Of fewer classes here, and of as many that are called otherwise."""
  row, other = KINDS['classifier'], f'{tmp_path}/a'
  raw, ema = write_run(row, other)
  images = embedded.digits('train').arrays['image'][:16]
  for names in (('a', 'b', 'c'), tuple('abcdefghij')):
    label = np.arange(16, dtype=np.int32) % len(names)
    data = named.Data(ArraySource({'image': images, 'label': label}, names),
                      None)
    state = begun(row, monkeypatch, f'{tmp_path}/{len(names)}', data,
                  init_from=other, class_names=names)
    assert 'what the network has for each begins afresh' in caplog.text
    caplog.clear()
    for tree, known in ((state.params, raw), (state.averages['ema'], ema)):
      chex.assert_trees_all_equal(tree['extractor'], known['extractor'])
      assert tree['head']['kernel'].shape == (4, len(names))
      # That of a network before its first step: small, and no bias.
      np.testing.assert_array_equal(tree['head']['bias'], 0)
    assert set(leaves.by_path(state.params)) == set(leaves.by_path(raw))
