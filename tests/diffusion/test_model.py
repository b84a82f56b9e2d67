"""What a network is given, and what is made of what it gives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.diffusion import conditions
from genjax.diffusion import loss
from genjax.diffusion import prediction
from genjax.diffusion import weighting
from genjax.diffusion.model import Diffusion
from genjax.diffusion.model import fixed
from genjax.diffusion.model import init_model
from genjax.diffusion.model import make_denoiser
from tests.diffusion import tables
from tests.diffusion.tables import PREDICTIONS
from tests.diffusion.tables import PROCESSES

_PARAMS = init_model({})


@pytest.mark.parametrize('name', PROCESSES)
def test_network_gets_unit_variance_and_a_finite_log_snr(name):
  """Also at both ends, in float32; log-SNR is clipped to [-20, 20]."""
  p, seen = PROCESSES[name], {}
  t = jnp.asarray([0.0, 0.3, 1.0]) * p.t_max

  def network(variables, x, noise, cond):
    seen.update(variables=variables, x=x, noise=noise, cond=cond)
    return x

  denoiser = make_denoiser(Diffusion(network, fixed(p), PREDICTIONS['v'], 2.0))
  alpha, sigma = tables.at(p.alpha, t), tables.at(p.sigma, t)
  std = np.sqrt(4 * alpha**2 + sigma**2)
  denoiser(init_model('weights'), {'label': jnp.arange(3)})(
      jnp.asarray(std)[:, None], t)
  assert seen['variables'] == {'params': 'weights'}
  np.testing.assert_allclose(seen['x'][:, 0], 1, rtol=1e-5)
  np.testing.assert_array_equal(seen['cond']['label'], [0, 1, 2])
  np.testing.assert_array_equal(seen['cond']['absent'], [False] * 3)
  np.testing.assert_allclose(
      seen['noise'], np.clip(tables.at(p.log_snr, t), -20, 20), rtol=1e-6)
  denoiser(_PARAMS, conditions.null({'label': jnp.arange(3)}))(
      jnp.ones((3, 1)), t)
  np.testing.assert_array_equal(seen['cond']['absent'], [True] * 3)
  denoiser(_PARAMS)(jnp.ones((3, 1)), t[1])  # one time for the whole batch
  assert seen['cond'] is None
  np.testing.assert_allclose(seen['noise'], [tables.at(p.log_snr, t[1])] * 3)


@pytest.mark.parametrize('name', PROCESSES)
@pytest.mark.parametrize('kind', PREDICTIONS)
def test_denoiser_refuses_what_divides_by_alpha_zero(name, kind):
  make = lambda: make_denoiser(Diffusion(
      lambda *_: None, fixed(PROCESSES[name]), PREDICTIONS[kind], 1.))(_PARAMS)
  if tables.defined(name, kind):
    make()
  else:
    with pytest.raises(ValueError, match='make_denoiser: eps and score need'):
      make()


def test_prediction_may_take_a_part_of_the_output():
  """A network of two heads: the first is the estimate, the rest is handed on
  to the errors; loss and denoiser are those of the first head alone."""
  p = PROCESSES['vp_linear']

  def one(variables, x, noise, cond, **_):
    return variables['params'] * x

  def two(variables, x, noise, cond, **_):
    return jnp.concatenate([variables['params'] * x, x - 7], axis=-1)

  def halves(output):
    return jnp.split(output, 2, axis=-1)

  models = [Diffusion(one, fixed(p), prediction.v, 1.),
            Diffusion(two, fixed(p), prediction.v._replace(split=halves), 1.)]
  params, key = init_model(jnp.float32(.3)), jax.random.key(0)
  batch = {'x': jnp.ones((4, 2)), 'index': jnp.arange(4)}

  @jax.jit
  def run(params):
    return [(loss.make_errors(model)(params, key, batch),
             loss.make_loss(model, weighting=weighting.v)(
                 params, key, batch, None)[0],
             make_denoiser(model)(params)(batch['x'], jnp.asarray(.4)))
            for model in models]

  (want, *wanted), (got, *gotten) = run(params)
  assert want.rest is None and got.rest.shape == (4, 2)
  assert np.all(got.rest < -2)
  for a, b in zip([*want[:-1], *wanted], [*got[:-1], *gotten], strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-6)


_COND = {'label': jnp.asarray([3, 1], jnp.uint8),
         'vector': jnp.asarray([[1., jnp.nan], [2., 3.]])}


def test_null_is_absent_and_zero_in_the_same_tree():
  here, none = conditions.present(_COND), conditions.null(_COND)
  assert jax.tree.structure(here) == jax.tree.structure(none)
  for a, b in zip(jax.tree.leaves(here), jax.tree.leaves(none)):
    assert (a.shape, a.dtype) == (b.shape, b.dtype)
  assert not here['absent'].any() and none['absent'].all()
  assert not none['label'].any() and not none['vector'].any()
  # What says itself that it is absent stays so.
  again = conditions.present(none)
  assert again['absent'].all()


def test_drop_takes_the_condition_of_some():
  some = jnp.asarray([True, False])
  got = conditions.drop(_COND, some)
  np.testing.assert_array_equal(got['absent'], some)
  np.testing.assert_array_equal(got['label'], [0, 1])
  np.testing.assert_array_equal(got['vector'], [[0, 0], [2, 3]])
  twice = conditions.drop(got, ~some)
  assert twice['absent'].all()


def test_how_images_were_changed_is_told_where_all_else_is_dropped():
  change = jnp.asarray([[1., 2.], [3., 4.]])
  told = {**_COND, 'augment': change}
  none = conditions.null(told)
  assert none['absent'].all() and not none['label'].any()
  for cond in (none, conditions.drop(told, jnp.asarray([True, False]))):
    np.testing.assert_array_equal(cond['augment'], change)


@pytest.mark.parametrize('cond', [
    {}, {'label': jnp.zeros(3), 'vector': jnp.zeros((2, 3))},
    {'label': jnp.zeros(())}])
def test_present_refuses_what_is_no_condition(cond):
  with pytest.raises(ValueError, match='present: parts of a condition must'):
    conditions.present(cond)
