"""Faults in fits to data, densities without a shape, and splines."""

from tests.faults.fault import Fault
from tests.faults.fault import room

NONPARAMETRIC = 'genjax/distributions/nonparametric.py'
FITTING = 'genjax/distributions/fitting.py'
COUPLING = 'genjax/networks/coupling.py'

FAULTS = (
    Fault('histogram: draws rounded out of their cells', NONPARAMETRIC,
          'x = jnp.where(x >= last, jnp.nextafter(x, '
          'jnp.full_like(x, -jnp.inf)), x)', 'pass',
          room('distributions/nonparametric')),
    Fault('histogram: cells by a rounded quotient', NONPARAMETRIC,
          'corner = corner + (x >= _edge(params, corner + 1)) - (\n'
          '      x < _edge(params, corner))', 'pass',
          room('distributions/nonparametric')),
    Fault('histogram: cells without a float', NONPARAMETRIC,
          'jnp.all(edges > _finest(params, low.dtype))', 'jnp.all(edges > 0)',
          room('distributions/nonparametric')),
    Fault('histogram: counts in the dtype of the points', NONPARAMETRIC,
          '  x = widen(x)\n  x = x.astype',
          '  x = jnp.asarray(x)\n  x = x.astype',
          room('distributions/nonparametric')),
    Fault('histogram: NaN is outside of the box', NONPARAMETRIC,
          'counts = jnp.where(jnp.any(jnp.isnan(x)), jnp.nan, counts)', 'pass',
          room('distributions/nonparametric')),
    Fault('kernel density: factors in the dtype of the points', NONPARAMETRIC,
          '  x = widen(x)\n  scott', '  scott',
          room('distributions/nonparametric')),
    Fault('kernel density: a bandwidth of 0', NONPARAMETRIC,
          'return jnp.maximum(standard_deviation(x), '
          'jnp.where(finest > 0, finest, 1))', 'return standard_deviation(x)',
          room('distributions/nonparametric')),
    Fault('normal: variances of any unit', FITTING,
          'NormalParams(jnp.mean(x, 0), standard_deviation(x))',
          'NormalParams(jnp.mean(x, 0), jnp.std(x, 0))',
          room('distributions/fitting')),
    Fault('exponential: a mean of 16 bits', FITTING,
          '1 / jnp.mean(widen(x), 0)', '1 / jnp.mean(x, 0)',
          room('distributions/fitting')),
    Fault('categorical: labels that are no class', FITTING,
          'jnp.where(known[..., None], jnp.log(share), jnp.nan)',
          'jnp.log(share)', room('distributions/fitting')),
    Fault('multivariate normal: axes of any unit', FITTING,
          'unit = standard_deviation(x)\n',
          'unit = jnp.ones_like(x[0])\n', room('distributions/fitting')),
    Fault('multivariate normal: singular, but for rounding', FITTING,
          'jnp.where(regular, ', 'jnp.where(True, ',
          room('distributions/fitting')),
    Fault('EM: squares of any unit', FITTING,
          'unit = jnp.maximum(deviation, jnp.where(finest > 0, finest, 1))',
          'unit = jnp.ones_like(deviation)', room('distributions/fitting')),
    Fault('EM: no spread, no unit', FITTING,
          'unit = jnp.maximum(deviation, jnp.where(finest > 0, finest, 1))',
          'unit = deviation', room('distributions/fitting')),
    Fault('EM: log-likelihood in its own unit', FITTING,
          'fit.log_likelihood - x.shape[1] * jnp.log(unit)',
          'fit.log_likelihood', room('distributions/fitting')),
    Fault('spline: the root that cancels', COUPLING,
          'falls = b < 0', 'falls = b < -jnp.inf', room('networks/coupling')),
    Fault('spline: the root from the farther end', COUPLING,
          'turned = rise > 0.5', 'turned = rise > jnp.inf',
          room('networks/coupling')),
    Fault('spline: points outside of their bin', COUPLING,
          'place = jnp.where(place < 0, 0, jnp.where(place > 1, 1, place))',
          'pass', room('networks/coupling')),
    Fault('coupling: in the dtype of the points', COUPLING,
          '    x = widen(x)\n', '', room('networks/coupling')),
)
