"""Distributions as pure functions of a params pytree.

    from genjax.distributions import NormalParams, independent, normal

    image_noise = independent(normal, 3)
    x = image_noise.sample(key, NormalParams(loc, scale), (16,))
    nats = image_noise.log_prob(NormalParams(loc, scale), x)
"""

from genjax.distributions.base import Distribution
from genjax.distributions.base import expectation
from genjax.distributions.base import MonteCarlo
from genjax.distributions.bounded import beta
from genjax.distributions.bounded import BetaParams
from genjax.distributions.bounded import exponential
from genjax.distributions.bounded import ExponentialParams
from genjax.distributions.bounded import gamma
from genjax.distributions.bounded import GammaParams
from genjax.distributions.bounded import uniform
from genjax.distributions.bounded import UniformParams
from genjax.distributions.combinators import independent
from genjax.distributions.continuous import laplace
from genjax.distributions.continuous import LaplaceParams
from genjax.distributions.continuous import logistic
from genjax.distributions.continuous import LogisticParams
from genjax.distributions.continuous import normal
from genjax.distributions.continuous import NormalParams
from genjax.distributions.continuous import student_t
from genjax.distributions.continuous import StudentTParams

__all__ = [
    'BetaParams', 'Distribution', 'ExponentialParams', 'GammaParams',
    'LaplaceParams', 'LogisticParams', 'MonteCarlo', 'NormalParams',
    'StudentTParams', 'UniformParams', 'beta', 'expectation', 'exponential',
    'gamma', 'independent', 'laplace', 'logistic', 'normal', 'student_t',
    'uniform',
]
