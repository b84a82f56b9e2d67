"""Flags by which samples are guided by other runs, or are of a product."""

import contextlib
import json
import os

import jax
import numpy as np
import pytest

from experiments import composing
from experiments import forward_reverse
from experiments import sample
from experiments import train_classifier
from genjax.runs import diffusion
from genjax.runs import open_run
from genjax.runs import workdir as workdirs
from genjax.training.checkpoint import Checkpointer
from genjax.training.state import init_state

pytestmark = pytest.mark.usefixtures('one_device')
FEW = ('--num_samples=6', '--steps=3')


@pytest.fixture(name='moons', scope='module')
def make_moons(write_run, tmp_path_factory):
  """The workdir of an unconditional run on moons, of steps 6 and 9."""
  workdir = write_run(tmp_path_factory.mktemp('moons') / 'run', 'toy',
                      data='toy:moons', width=(8,), depth=1, conditional=False)
  run = open_run(str(workdir))
  model = diffusion.TASK.build(run.settings)
  state = init_state(jax.tree.map(lambda x: 1.3 * x, run.params),
                     diffusion.loss(run.settings, model).tx, model.averages)
  with contextlib.closing(Checkpointer(
      os.path.join(workdir, 'checkpoints'),
      run=workdirs.read(str(workdir)).run)) as checkpointer:
    checkpointer.save(9, jax.tree.map(
        np.asarray, state._replace(step=np.int32(9))))
  return workdir


@pytest.fixture(name='judge', scope='module')
def make_judge(run, tmp_path_factory):
  """The workdir of a classifier of noisy points, just begun."""
  workdir = tmp_path_factory.mktemp('judge') / 'run'
  result = run(train_classifier, f'--workdir={workdir}', '--noise=50',
               '--data=toy:moons,points=64', '--width=8', '--steps=2',
               '--batch_size=8')
  assert (result.code, result.err) == (0, '')
  return workdir


def test_a_classifier_of_noisy_points_opens_and_predicts(judge):
  opened = open_run(str(judge))
  assert (opened.settings.noise, opened.settings.shape) == (50.0, (2,))
  logits = np.asarray(opened.predict(np.float32([[.1, .2], [1, -1], [2, 0]])))
  assert logits.shape == (3, 2) and np.isfinite(logits).all()
  assert len(np.unique(logits)) == 6


def test_a_checkpoint_is_opened_by_its_step(moons):
  early, late, last = (open_run(str(moons), 'raw', step=step)
                       for step in (6, 9, None))
  assert (early.step, late.step, last.step) == (6, 9, 9)
  for a, b, c in zip(*(jax.tree.leaves(r.params) for r in (early, late, last))):
    np.testing.assert_array_equal(b, c)
    assert (a != b).any() == a.any()
  with pytest.raises(ValueError, match='^step: must be .*, 6, 9, got 7$'):
    open_run(str(moons), step=7)


def test_an_earlier_step_of_the_same_run_guides(run, draw, moons, tmp_path):
  flags = (*FEW, f'--weaker={moons}')
  alone, _ = draw(moons, *FEW)
  unmoved, _ = draw(moons, *flags)  # the same step: it is not weaker
  np.testing.assert_allclose(unmoved, alone, atol=1e-4)
  drawn = []
  for scale in ((), ('--guidance=3',)):
    out = tmp_path / f'{len(drawn)}.npz'
    assert run(sample, f'--workdir={moons}', f'--out={out}', *flags,
               '--weaker_step=6', *scale).code == 0
    drawn.append(np.load(out)['arr_0'])
    used = json.loads(out.with_suffix('.json').read_text())
    assert used['guidance'] == 1 + len(drawn)  # 2 where absent
    assert (used['weaker'], used['weaker_step'], used['step']) == (
        str(moons), 6, 9)
    assert 'guidance_method' not in used
  for x, y in ((drawn[0], alone), (drawn[1], alone), drawn):
    assert np.abs(x - y).max() > 1e-3


def test_a_classifier_gives_an_unconditional_run_classes(
    run, draw, moons, judge, tmp_path):
  alone, label = draw(moons, *FEW)
  assert label is None
  flags = (*FEW, f'--classifier={judge}')
  none, label = draw(moons, *flags, '--guidance=0')
  np.testing.assert_allclose(none, alone, atol=1e-4)
  assert label.tolist() == [0, 1] * 3
  out = tmp_path / 'x.npz'
  assert run(sample, f'--workdir={moons}', f'--out={out}', *flags,
             '--labels=1').code == 0
  used = json.loads(out.with_suffix('.json').read_text())
  assert (used['guidance'], used['classifier'], used['classifier_step']) == (
      1.0, str(judge), 2)
  x, zero = np.load(out)['arr_0'], draw(moons, *flags, '--labels=0')[0]
  assert np.load(out)['arr_1'].tolist() == [1] * 6
  assert np.abs(x - zero).max() > 1e-3


def test_a_product_says_what_its_integral_is(run, moons, tmp_path):
  """Of powers .5 and .5 of one model, the model: log Z is 0."""
  out = tmp_path / 'x.npz'
  flags = ('--num_samples=3', '--steps=3', '--particles=4')
  result = run(sample, f'--workdir={moons}', f'--out={out}', *flags,
               f'--compose={moons}', '--exponents=0.5,0.5')
  assert result.code == 0, result.err
  line = result.out.splitlines()[1].split()
  assert line[:2] == ['log', 'Z'] and abs(float(line[2])) < 1e-3
  assert 'mean of 3 runs of 4 particles, of which 4.0 are eff' in result.out
  assert json.loads(out.with_suffix('.json').read_text()) == {
      'workdir': str(moons), 'step': 9, 'weights': 'ema', 'seed': 0,
      'sampling_steps': 3, 'compose': str(moons), 'compose_step': 9,
      'exponents': [.5, .5], 'particles': 4, 'num_samples': 3, 'labels': None}
  assert np.load(out)['arr_0'].shape == (3, 2)
  result = run(sample, f'--workdir={moons}', f'--out={out}', *flags,
               '--exponents=2')
  assert result.code == 0 and 'are effective' in result.out
  assert 'compose' not in json.loads(out.with_suffix('.json').read_text())


def test_a_log_z_that_runs_disagree_on_is_said_to_tell_little():
  """Of runs that differ under one label; not of labels that do."""
  log_z, label = np.array([5.0, 9.0, 5.5, 12.0]), np.array([0, 1, 0, 1])
  want = np.sqrt((.125 + 4.5) / 2)
  np.testing.assert_allclose(composing.spread(log_z, label), want)
  assert np.isnan(composing.spread(log_z, np.arange(4)))
  for values, said in ((log_z, True), (np.array([5.0, 9.0, 5.1, 9.1]), False)):
    assert ('relied on' in composing._doubt(values, label)) == said
  assert 'differ by 3.3 nats' in composing._doubt(log_z, None)
  assert composing._doubt(log_z[:1], None) == ''


BAD = [
    ('--weaker={moons} --classifier={judge}', ['--classifier', '--weaker']),
    ('--weaker={moons} --guidance_method=projected',
     ['--guidance_method', 'beside --weaker', 'projected']),
    ('--classifier={judge} --guidance_eta=0.5', ['--guidance_eta', '0.5']),
    ('--classifier={judge} --guidance=-1', ['--guidance', '-1']),
    ('--weaker={moons} --weaker_step=7', ['--weaker_step', '6, 9', '7']),
    ('--weaker_step=6', ['--weaker_step', 'without --weaker', '6']),
    ('--weaker={moons}/no', ['--weaker', '{moons}/no']),
    ('--weaker={digits}', ['--weaker', '(2,)', '(8, 8, 1)']),
    ('--weaker={judge}', ['--weaker', 'train_diffusion', 'classifier']),
    ('--classifier={moons}', ['--classifier', 'train_classifier']),
    ('--particles=3', ['--particles', 'without --compose']),
    ('--compose={digits}', ['--compose', '(2,)', '(8, 8, 1)']),
    ('--compose={moons} --exponents=1', ['--exponents', '2 numbers', "'1'"]),
    ('--compose={moons} --exponents=1,x', ['--exponents', "'1,x'"]),
    ('--compose={moons} --exponents=1,nan', ['--exponents', "'1,nan'"]),
    ('--compose={moons} --exponents=1,-1', ['--exponents', 'positive sum']),
    ('--exponents=1,1', ['--exponents', '1 numbers', "'1,1'"]),
    ('--compose={moons} --guidance=2', ['--guidance', 'beside --compose']),
    ('--compose={moons} --sampler=heun', ['--sampler', 'beside --compose']),
    ('--exponents=2 --weaker={moons}', ['--weaker', 'beside --exponents']),
]


@pytest.mark.parametrize('args, said', BAD, ids=[row[0] for row in BAD])
def test_what_does_not_go_together_is_said_in_a_line(
    run, moons, judge, digits_run, tmp_path, args, said):
  at = {'moons': moons, 'judge': judge, 'digits': digits_run}
  result = run(sample, f'--workdir={moons}', f'--out={tmp_path}/x.npz',
               *args.format(**at).split())
  result.check_refusal('sample', [part.format(**at) for part in said])
  assert not os.listdir(tmp_path)


def test_every_script_that_draws_takes_the_flags(run, moons, judge):
  result = run(forward_reverse, f'--workdir={moons}', '--steps=2',
               f'--classifier={judge}', f'--weaker={moons}')
  result.check_refusal('forward_reverse', ['--classifier', '--weaker'])
