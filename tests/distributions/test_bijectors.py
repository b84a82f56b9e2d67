"""Bijectors invert themselves, and know their own slopes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.distributions import bijectors
from genjax.distributions.bijectors import AffineParams
from genjax.distributions.bijectors import Bijector
from tests import laws

_AFFINE = AffineParams(jnp.asarray([1.0, -2.0]), jnp.asarray([[0.5], [-3.0]]))

CASES = {
    'affine': (bijectors.affine, _AFFINE),
    'exp': (bijectors.exp, ()),
    'softplus': (bijectors.softplus, ()),
    'sigmoid': (bijectors.sigmoid, ()),
    'chain': (bijectors.chain(bijectors.exp, bijectors.affine,
                              bijectors.sigmoid), ((), _AFFINE, ())),
    'chain of none': (bijectors.chain(), ()),
}
# Each function as one program: these tests take the time of compiling.
CASES = {name: (laws.compiled(bijector), params)
         for name, (bijector, params) in CASES.items()}
ONTO_POSITIVE = {k: CASES[k] for k in ('exp', 'softplus')}

each_bijector = pytest.mark.parametrize('name', CASES)


def _points():
  return np.linspace(-3, 3, 8).reshape(4, 1, 2)


def _rotation(angle: float) -> Bijector:
  """Turns vectors in the plane: rank 1, mixes entries, log_det 0."""
  c, s = np.cos(angle), np.sin(angle)
  turn = np.array([[c, -s], [s, c]])
  return Bijector(
      lambda params, x: x @ turn.T, lambda params, y: y @ turn,
      lambda params, x: jnp.zeros(x.shape[:-1]), event_ndims=1)


@each_bijector
@laws.float64
def test_inverse_undoes_forward(name):
  """Slopes between e^-3 and e^3 cost two digits of sixteen, twice in chains."""
  bijector, params = CASES[name]
  x = _points()
  y = np.asarray(bijector.forward(params, x))
  np.testing.assert_allclose(bijector.inverse(params, y) + 0 * y,
                             x + 0 * y, rtol=1e-10, atol=1e-10)


@each_bijector
@laws.float64
def test_log_det_is_that_of_the_jacobian(name):
  bijector, params = CASES[name]
  x = _points() + np.zeros((2, 1))
  slope = jax.jit(jax.grad(lambda x: jnp.sum(bijector.forward(params, x))))(x)
  np.testing.assert_allclose(
      bijector.log_det(params, x), np.log(np.abs(slope)), atol=1e-12)


@laws.float64
def test_chain_sums_log_dets_over_the_event_of_the_highest_rank():
  chain = laws.compiled(bijectors.chain(
      bijectors.affine, _rotation(0.3), bijectors.exp, _rotation(1.0)))
  params = (AffineParams(jnp.asarray([1., 2.]), 3.0), (), (), ())
  assert chain.event_ndims == 1
  x = np.linspace(-1, 1, 6).reshape(3, 2)
  jacobians = jax.jit(jax.vmap(jax.jacfwd(
      lambda x: chain.forward(params, x))))(x)
  np.testing.assert_allclose(
      chain.log_det(params, x), np.linalg.slogdet(jacobians)[1], rtol=1e-12)
  np.testing.assert_allclose(
      chain.inverse(params, chain.forward(params, x)), x, atol=1e-12)


def test_chain_applies_the_first_first():
  chain = bijectors.chain(bijectors.exp, bijectors.affine)
  got = chain.forward(((), AffineParams(1.0, 2.0)), jnp.log(3.0))
  np.testing.assert_allclose(got, 7.0, rtol=1e-6)


def test_chain_refuses_params_of_another_number_of_bijectors():
  chain = bijectors.chain(bijectors.exp, bijectors.affine)
  with pytest.raises(ValueError, match='zip'):
    chain.forward(((),), jnp.zeros(()))


def test_log_det_has_the_shape_of_the_whole_batch():
  """Also where params that do not enter it broadcast."""
  params = AffineParams(jnp.zeros((3, 1)), 2.0)
  assert bijectors.affine.log_det(params, jnp.zeros(5)).shape == (3, 5)


@pytest.mark.parametrize('dtype', [jnp.float32, jnp.bfloat16, jnp.float64])
@each_bijector
def test_dtype_is_kept(name, dtype):
  bijector, params = CASES[name]
  with jax.enable_x64(dtype == jnp.float64):
    params = jax.tree.map(lambda p: jnp.asarray(p, dtype), params)
    x = jnp.ones(2, dtype)
    for f in bijector.forward, bijector.inverse, bijector.log_det:
      assert jax.eval_shape(f, params, x).dtype == dtype


def test_softplus_keeps_its_digits_in_both_tails():
  """log(e^y - 1) is log(y) below and y above, in float32 to a rounding."""
  softplus = CASES['softplus'][0]
  y = jnp.asarray([1e-30, 1e-10, 50.0, 1e30])
  np.testing.assert_allclose(
      softplus.inverse((), y),
      [np.log(1e-30), np.log(1e-10), 50.0, 1e30], rtol=3e-7)
  x = jnp.asarray([-80.0, 80.0])
  np.testing.assert_allclose(softplus.forward((), x),
                             [np.exp(-80.0), 80.0], rtol=1e-5)
  np.testing.assert_allclose(softplus.log_det((), x),
                             [-80.0, -np.exp(-80.0)], rtol=1e-5)


def test_sigmoid_keeps_its_digits_in_both_tails():
  sigmoid = CASES['sigmoid'][0]
  x = jnp.asarray([-80.0, 80.0])
  y = sigmoid.forward((), x)
  # exp of a float32 of 80 errs by 80 roundings.
  np.testing.assert_allclose(y, [np.exp(-80.0), 1.0], rtol=1e-5)
  # 1 itself, which is not of the range, is left for the number next to it.
  np.testing.assert_allclose(sigmoid.inverse((), y),
                             [-80.0, 24 * np.log(2)], rtol=1e-6)
  np.testing.assert_allclose(sigmoid.log_det((), x), [-80.0, -80.0],
                             rtol=1e-6)


@pytest.mark.parametrize('dtype', [jnp.float32, jnp.bfloat16, jnp.float16])
@pytest.mark.parametrize('name', [*ONTO_POSITIVE, 'sigmoid'])
def test_forward_never_gives_an_end_of_the_range(name, dtype):
  """So that what it gives has an origin: a number, of the same sign."""
  bijector, params = CASES[name]
  x = jnp.asarray([-1e4, -200.0, 50.0, 1e4], dtype)
  back = bijector.inverse(params, bijector.forward(params, x))
  assert np.isfinite(back.astype(np.float32)).all()
  np.testing.assert_array_equal(back < 0, x < 0)
  assert np.isnan(bijector.forward(params, jnp.asarray(np.nan, dtype)))


@pytest.mark.parametrize('name', [*ONTO_POSITIVE, 'sigmoid'])
def test_whole_numbers_are_taken_as_numbers(name):
  bijector, params = CASES[name]
  for f in bijector.forward, bijector.inverse, bijector.log_det:
    assert jax.eval_shape(f, params, jnp.ones(2, int)).dtype == jnp.float32


@pytest.mark.parametrize('name', ONTO_POSITIVE)
def test_inverse_beyond_the_range_is_the_infinity_on_that_side(name):
  bijector, params = ONTO_POSITIVE[name]
  y = jnp.asarray([-jnp.inf, -1.0, 0.0, jnp.inf, jnp.nan])
  want = [-np.inf, -np.inf, -np.inf, np.inf, np.nan]
  np.testing.assert_array_equal(bijector.inverse(params, y), want)
  slope = jax.jit(jax.vmap(jax.grad(
      lambda y: bijector.inverse(params, y))))(y[:-1])
  np.testing.assert_array_equal(slope, np.zeros(4))


def test_sigmoid_inverse_beyond_the_range_is_the_infinity_on_that_side():
  y = jnp.asarray([-1.0, 0.0, 1.0, 2.0, jnp.nan])
  np.testing.assert_array_equal(bijectors.sigmoid.inverse((), y),
                                [-np.inf, -np.inf, np.inf, np.inf, np.nan])


def test_inverse_beyond_the_range_of_a_chain_is_infinite():
  """(0, inf) is mapped onto (1/2, 1): what is below or above has no origin."""
  chain = laws.compiled(bijectors.chain(bijectors.exp, bijectors.sigmoid))
  y = jnp.asarray([-1.0, 0.0, 0.3, 0.5, 1.0, 2.0])
  got = chain.inverse(((), ()), y)
  np.testing.assert_array_equal(got, 4 * [-np.inf] + 2 * [np.inf])


@pytest.mark.parametrize('scale', [0.0, np.nan, np.inf])
def test_affine_of_bad_scale_is_nan(scale):
  params = AffineParams(1.0, jnp.asarray([2.0, scale]))
  affine = CASES['affine'][0]
  for f in affine.forward, affine.inverse, affine.log_det:
    np.testing.assert_array_equal(
        np.isnan(f(params, jnp.ones(2))), [False, True])
