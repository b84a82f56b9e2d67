"""Products of powers of runs, whose denoisers are those of Gaussians."""

import dataclasses
import math

import jax
import numpy as np
import pytest
from scipy import stats

from genjax.diffusion import exact
from genjax.runs import classifier
from genjax.runs import composition
from genjax.runs import diffusion
from genjax.runs.diffusion_settings import Settings
from genjax.runs.task import Run

_SETTINGS = Settings(
    data='toy:moons', network='mlp', width=(8,), depth=1, shape=(2,),
    class_names=('0', '1'), guidance=1.0, process='edm', prediction='edm',
    sigma_min=.002, sigma_max=20.0, data_std=.6, sampling_steps=50)
_NUM, _PARTICLES = 1000, 64


def _run(mean, cov, **values):
  return Run(diffusion.TASK, dataclasses.replace(_SETTINGS, **values),
             {'mean': np.float32(mean), 'cov': np.float32(cov)}, 6)


def _with(run, **values):
  return run._replace(settings=dataclasses.replace(run.settings, **values))


_ONE = _run([.3, -.2], [[.4, .1], [.1, .3]])
_OTHER = _run([-.1, .2], [[.3, -.1], [-.1, .5]], process='vp_linear',
              prediction='v')


@pytest.fixture(name='exactly')
def replace_denoisers(monkeypatch):
  """Runs whose data are N(mean, cov), the mean moved by a label; in blocks."""

  def make_denoiser(model):
    def make(params, cond=None):
      # Of the mean at 0; x_t moves with it by alpha times.
      process = model.process_of(params)
      inner = exact.gaussian(process, params['mean'], params['cov']).denoiser
      moved = 0.0 if cond is None else cond['label'][:, None].astype(float)
      return lambda x, t: inner(x - process.alpha(t) * moved, t) + moved
    return make

  monkeypatch.setattr(composition, 'make_denoiser', make_denoiser)
  monkeypatch.setattr(composition, '_BLOCK', 384 * 2 * _PARTICLES)


def _law(exponents, laws):
  """Mean, covariance and log Z of a product of powers of Gaussians."""
  precisions = [b * np.linalg.inv(c) for b, (_, c) in zip(exponents, laws)]
  cov = np.linalg.inv(sum(precisions))
  mean = cov @ sum(p @ m for p, (m, _) in zip(precisions, laws))
  log_z = sum(b * stats.multivariate_normal(m, c).logpdf(mean)
              for b, (m, c) in zip(exponents, laws))
  return mean, cov, log_z - stats.multivariate_normal(mean, cov).logpdf(mean)


def _check(x, mean, cov):
  """Means and second moments to 4 standard errors."""
  z = np.linalg.solve(np.linalg.cholesky(cov), (x - mean).T).T
  assert np.all(np.abs(z.mean(0)) < 4 / math.sqrt(len(z)))
  for product in (z[:, 0]**2 - 1, z[:, 1]**2 - 1, z[:, 0] * z[:, 1]):
    error = product.std() / math.sqrt(len(z))
    assert error < .1 and abs(product.mean()) < 4 * error


@pytest.mark.parametrize('others, exponents, told', [
    ([_OTHER], (1.0, 1.0), True), ([], (.5,), False)])
def test_what_is_drawn_is_the_product_and_its_integral(
    exactly, others, exponents, told):
  """Of runs of two noise processes, under a label each; of one, tempered."""
  label = np.arange(_NUM) % 2
  found = composition.make_composition(
      _ONE, others, exponents, particles=_PARTICLES)(
          jax.random.key(4), _NUM, {'label': label} if told else None)
  assert found.x.shape == (_NUM, 2)
  assert len(np.unique(found.x[:, 0])) == _NUM
  assert np.all((1 < found.effective) & (found.effective <= _PARTICLES + .01))
  laws = [(run.params['mean'].astype(float), run.params['cov'].astype(float))
          for run in (_ONE, *others)]
  mean, cov, log_z = _law(exponents, laws)
  for which in (0, 1) if told else (0,):
    chosen = label == which if told else slice(None)
    _check(found.x[chosen].astype(float), mean + which, cov)
    ratio = np.exp(found.log_z[chosen].astype(float) - log_z)
    error = ratio.std() / math.sqrt(len(ratio))
    assert error < .05 and abs(ratio.mean() - 1) < 4 * error


def test_a_draw_does_not_depend_on_how_many_there_are(exactly):
  compose = composition.make_composition(
      _with(_ONE, sampling_steps=3), [], (2.0,), particles=4)
  ten, three = (compose(jax.random.key(0), num) for num in (10, 3))
  for some, fewer in zip(ten, three):
    np.testing.assert_allclose(some[:3], fewer, rtol=1e-5)


@pytest.mark.parametrize('one, others, exponents, said', [
    (_ONE, [_OTHER], (1.0,), 'exponents: must be 2, one a run, got 1'),
    (_ONE, [_OTHER], (1.0, -1.0), 'exponents: must be finite .* positive sum'),
    (_ONE, [_OTHER], (1.0, math.nan), 'exponents: must be finite'),
    (_ONE, [_OTHER], (1.0, math.inf), 'exponents: must be finite'),
    (_ONE, [], (0.0,), 'exponents: must be finite .* positive sum'),
    (_ONE, [_with(_OTHER, shape=(3,))], (1.0, 1.0),
     r'compose: must be of examples of shape \(2,\)'),
    (_ONE, [_with(_OTHER, class_names=('a', 'b'))], (1.0, 1.0),
     'compose: must be told the 2 classes'),
    (_ONE, [_with(_OTHER, conditional=False)], (1.0, 1.0),
     'compose: must be told .* one of 0 and 0'),
    (_ONE, [_OTHER._replace(task=classifier.TASK)], (1.0, 1.0),
     'compose: must hold a run of train_diffusion, got a classifier'),
    (_with(_ONE, process='flow_matching',
                          prediction='velocity'), [_OTHER], (1.0, 1.0),
     'workdir: must be of a noise process .* got flow_matching'),
])
def test_what_cannot_be_composed_is_refused_in_a_line(
    one, others, exponents, said):
  with pytest.raises(ValueError, match=f'^{said}') as error:
    composition.make_composition(one, others, exponents)
  assert '\n' not in str(error.value)
