"""Distributions as pure functions of a params pytree.

    from genjax.distributions import NormalParams, independent, normal

    image_noise = independent(normal, 3)
    x = image_noise.sample(key, NormalParams(loc, scale), (16,))
    nats = image_noise.log_prob(NormalParams(loc, scale), x)
"""

from genjax.distributions.base import Distribution
from genjax.distributions.combinators import independent
from genjax.distributions.continuous import normal
from genjax.distributions.continuous import NormalParams

__all__ = ['Distribution', 'NormalParams', 'independent', 'normal']
