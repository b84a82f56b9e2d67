"""Faults in metrics and distances."""

from tests.faults.fault import Fault
from tests.faults.fault import room

FAULTS = (
    Fault('Frechet: half the cross term', 'genjax/metrics/frechet.py',
          '- 2 * cross', '- cross', room('metrics/frechet')),
    Fault('KID: a point paired with itself', 'genjax/metrics/kernel.py',
          'return (total(x, x) - own)', 'return total(x, x)',
          room('metrics/kernel')),
    Fault('precision and recall: radius of the other set',
          'genjax/metrics/manifold.py',
          'within = squared <= data_radii',
          'within = squared <= sample_radii[rows, None]',
          room('metrics/manifold')),
    Fault('interval of half the rows', 'genjax/metrics/estimate.py',
          'size)[:size // 2]', 'size)[:size // 4]', room('metrics/estimate')),
    Fault('neighbour ratio inverted', 'genjax/metrics/manifold.py',
          'float(nearest_distances(samples, train).mean()\n'
          '               / nearest_distances(test, train).mean())',
          'float(nearest_distances(test, train).mean()\n'
          '               / nearest_distances(samples, train).mean())',
          room('metrics/manifold')),
    Fault('energy distance: one term missing', 'genjax/metrics/kernel.py',
          '\n          - _mean_distance(b, b, block))', ')',
          room('metrics/kernel')),
    Fault('SSIM: second moments for variances', 'genjax/image_distance.py',
          'var_b = local_mean(b * b) - mean_b * mean_b',
          'var_b = local_mean(b * b)', ('tests/test_image_distance.py',)),
    Fault('SSIM: window of even size', 'genjax/image_distance.py',
          'side - 1 + side % 2', 'side', ('tests/test_image_distance.py',)),
    Fault('pixel distance: bytes wrap around', 'genjax/image_distance.py',
          'return a.astype(dtype), b.astype(dtype)', 'return a, b',
          ('tests/test_image_distance.py',)),
    Fault('share: interval of Wald', 'genjax/metrics/estimate.py',
          'centre = _middle(value, num)',
          'centre = value', room('metrics/estimate')),
    Fault('jackknife: groups kept in place of left out',
          'genjax/metrics/estimate.py', 'np.flatnonzero(group != out)',
          'np.flatnonzero(group == out)', room('metrics/estimate')),
    Fault('jackknife: the bias left in', 'genjax/metrics/estimate.py',
          'float(np.mean(pseudo)), error', 'float(whole), error',
          room('metrics/frechet')),
    Fault('share by halves: every row an example', 'genjax/metrics/estimate.py',
          'if error > 0:', 'if False:', room('metrics/estimate')),
)
