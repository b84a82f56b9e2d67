"""Faults in cumulative probabilities."""

from tests.faults.fault import Fault
from tests.faults.fault import room

SPECIAL = 'genjax/distributions/special.py'
CONTINUOUS = 'genjax/distributions/continuous.py'
DISCRETE = 'genjax/distributions/discrete.py'
CDF = room('distributions/cdf')

FAULTS = (
    Fault('gamma tail: a node rule too coarse', SPECIAL,
          'np.dtype(np.float64): 28', 'np.dtype(np.float64): 12', CDF),
    Fault('gamma tail: a long tail of small concentration left to the rule',
          SPECIAL, 'below & (a < _RAISED_BY)', 'below & (a < 0)', CDF),
    Fault('beta tail: one term of the recurrence too few', SPECIAL,
          'if i < _RAISED_BY:', 'if i < _RAISED_BY - 1:', CDF),
    Fault('beta tail: places not changed', SPECIAL,
          'excess = jnp.where(below, excess, -excess)', '', CDF),
    Fault('tail: ends before the density has fallen', SPECIAL,
          '{np.dtype(np.float32): 17.0', '{np.dtype(np.float32): 5.0', CDF),
    Fault('log: subnormal numbers taken for zero', SPECIAL,
          '(bits > 0) &', '(bits < 0) &', CDF),
    Fault('binomial: cdf about a rounded mean', DISCRETE,
          'jnp.where(logits < 0, -excess, excess) - q)',
          'n * p - x - q)', CDF),
    Fault('poisson: cdf at infinity', DISCRETE,
          'jnp.where(below | reached, 0, whole)', 'jnp.where(below, 0, whole)',
          CDF),
    Fault('student_t: its square leaves the floats', CONTINUOUS,
          '2 * (jnp.log(jnp.abs(distance)) - jnp.log(scale))',
          'jnp.log(jnp.square(distance / scale))', CDF),
    Fault('student_t: slope of the cdf at its centre', CONTINUOUS,
          'jnp.where(density > 0, by_place, 0))',
          'jnp.where(density > 0, by_place, 0) * ~centre)', CDF),
    Fault('discretized logistic: location rounded at an edge',
          'genjax/distributions/discretized.py',
          'less_product(whole, jnp.asarray(top, loc.dtype), loc)',
          'whole - top * loc', CDF),
)
