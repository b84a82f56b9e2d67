"""Distributions as pure functions of a params pytree.

    from genjax.distributions import NormalParams, independent, normal

    image_noise = independent(normal, 3)
    x = image_noise.sample(key, NormalParams(loc, scale), (16,))
    nats = image_noise.log_prob(NormalParams(loc, scale), x)

Families and combinators are here; `bijectors`, `gaussian` (algebra),
`conjugate` (Bayes' rule), `divergences` and `fitting` are modules beside them.
"""

from genjax.distributions.base import Distribution
from genjax.distributions.base import expectation
from genjax.distributions.base import MonteCarlo
from genjax.distributions.bijectors import Bijector
from genjax.distributions.bounded import beta
from genjax.distributions.bounded import BetaParams
from genjax.distributions.bounded import exponential
from genjax.distributions.bounded import ExponentialParams
from genjax.distributions.bounded import gamma
from genjax.distributions.bounded import GammaParams
from genjax.distributions.bounded import uniform
from genjax.distributions.bounded import UniformParams
from genjax.distributions.combinators import independent
from genjax.distributions.combinators import mixture
from genjax.distributions.combinators import MixtureParams
from genjax.distributions.combinators import reparameterize
from genjax.distributions.combinators import transformed
from genjax.distributions.combinators import TransformedParams
from genjax.distributions.continuous import laplace
from genjax.distributions.continuous import LaplaceParams
from genjax.distributions.continuous import logistic
from genjax.distributions.continuous import LogisticParams
from genjax.distributions.continuous import normal
from genjax.distributions.continuous import NormalParams
from genjax.distributions.continuous import student_t
from genjax.distributions.continuous import StudentTParams
from genjax.distributions.discrete import bernoulli
from genjax.distributions.discrete import BernoulliParams
from genjax.distributions.discrete import binomial
from genjax.distributions.discrete import BinomialParams
from genjax.distributions.discrete import categorical
from genjax.distributions.discrete import CategoricalParams
from genjax.distributions.discrete import poisson
from genjax.distributions.discrete import PoissonParams
from genjax.distributions.discretized import discretized_logistic
from genjax.distributions.discretized import DiscretizedLogisticParams
from genjax.distributions.multivariate import dirichlet
from genjax.distributions.multivariate import DirichletParams
from genjax.distributions.multivariate import low_rank_normal
from genjax.distributions.multivariate import LowRankNormalParams
from genjax.distributions.multivariate import multivariate_normal
from genjax.distributions.multivariate import MultivariateNormalParams

__all__ = [
    'BernoulliParams', 'BetaParams', 'Bijector', 'BinomialParams',
    'CategoricalParams', 'DirichletParams', 'DiscretizedLogisticParams',
    'Distribution', 'ExponentialParams', 'GammaParams', 'LaplaceParams',
    'LogisticParams', 'LowRankNormalParams', 'MixtureParams', 'MonteCarlo',
    'MultivariateNormalParams', 'NormalParams', 'PoissonParams',
    'StudentTParams', 'TransformedParams', 'UniformParams', 'bernoulli',
    'beta', 'binomial', 'categorical', 'dirichlet', 'discretized_logistic',
    'expectation', 'exponential', 'gamma', 'independent', 'laplace',
    'logistic', 'low_rank_normal', 'mixture', 'multivariate_normal',
    'normal', 'poisson', 'reparameterize', 'student_t', 'transformed',
    'uniform',
]
