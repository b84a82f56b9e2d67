"""What `independent` adds to the laws of the families."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.distributions import independent
from genjax.distributions import normal
from genjax.distributions import NormalParams


def test_independent_sums_the_axes_of_the_event():
  loc = jnp.arange(24.).reshape(2, 3, 4)
  params = NormalParams(loc, jnp.ones_like(loc))
  x = loc + 0.5
  got = independent(normal, 2).log_prob(params, x)
  np.testing.assert_allclose(
      got, normal.log_prob(params, x).sum((1, 2)), rtol=1e-6)


def test_independent_draws_what_its_base_draws():
  params = NormalParams(jnp.zeros((2, 3)), jnp.ones(3))
  key = jax.random.key(0)
  np.testing.assert_array_equal(
      independent(normal, 1).sample(key, params, (4,)),
      normal.sample(key, params, (4,)))


@pytest.mark.parametrize('call', [
    lambda d, p: d.log_prob(p, jnp.zeros(3)),
    lambda d, p: d.sample(jax.random.key(0), p, (5, 5)),
])
def test_independent_refuses_params_without_the_axes_of_the_event(call):
  params = NormalParams(jnp.zeros(3), jnp.ones(3))
  with pytest.raises(ValueError, match='independent: .* 2 or more'):
    call(independent(normal, 2), params)


def test_independent_adds_to_the_rank_and_keeps_the_kind_of_its_base():
  bound = independent(normal, 1)._replace(density='lower bound')
  images = independent(bound, 2)
  assert (images.event_ndims, images.density) == (3, 'lower bound')
