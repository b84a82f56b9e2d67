"""Faults in how samples are scored, and real images beside them."""

from tests.faults.fault import Fault
from tests.faults.fault import room

SCORING = 'genjax/reports/scoring.py'
TESTS = room('reports/scoring')
EVALUATE = room('experiments/evaluate')
GUIDANCE = 'genjax/reports/guidance_sweep.py'

FAULTS = (
    Fault('scoring: of the last weights', SCORING,
          "draw, state.averages['ema'], key", 'draw, state.params, key', TESTS),
    Fault('scoring: guided', SCORING, 'guidance=1.0, rho=None', 'rho=None',
          TESTS),
    Fault('scoring: on the grid of the run', SCORING, 'rho=None,\n', '\n',
          TESTS),
    Fault('scoring: conditions of the first images', SCORING,
          "keys.generator(settings.seed, 'scores').permutation(\n"
          '      len(test))',
          'np.arange(len(test))', TESTS),
    Fault('scoring: copies are fine', SCORING, 'c_t.value < _COPIES',
          'c_t.value < -1e9', TESTS),
    Fault('scoring: whoever is near copies', SCORING, '_COPIES = -3.0',
          '_COPIES = 0.0', TESTS),
    Fault('scoring: compared with training images', SCORING,
          "{'frechet': _frechet(samples, test)",
          "{'frechet': _frechet(samples, train)", TESTS),
    Fault('scoring: never called', 'genjax/reports/diffusion.py',
          ', *scoring(session)]', ']', TESTS),
    Fault('sweep: all by the average', 'genjax/reports/evaluation.py',
          "return opened('samples', settings.samples, weights)",
          "return opened('samples', settings.samples)", EVALUATE),
    Fault('sweep: the farthest is the best', 'genjax/reports/sweep.py',
          'best = min(drawn_by', 'best = max(drawn_by', EVALUATE),
    Fault('sweep: distance to training images', 'genjax/reports/sweep.py',
          'name: _distance(drawn, test)', 'name: _distance(drawn, train)',
          EVALUATE),
    Fault('comparison: real images of all classes',
          'genjax/metrics/comparison.py', 'recognition(test, samples.label)',
          'recognition(test)', room('metrics/comparison')),
    Fault('share: a mix costs no examples', 'genjax/metrics/estimate.py',
          'float(1 / (mix**2 @ (1 / count)))', 'float(count.sum())',
          room('metrics/estimate')),
    Fault('share: groups of none are never right', 'genjax/metrics/estimate.py',
          'known = (count > 0) & (mix > 0)\n',
          'known, count = mix > 0, np.maximum(count, 1)\n',
          room('metrics/agreement')),
    Fault('evaluate: numbers at their mean', 'genjax/reports/evaluation.py',
          'settings.seed, vector)', 'settings.seed, None)',
          room('reports/evaluation')),
    Fault('guidance sweep: all at the scale of the run', GUIDANCE,
          'guidance=arm.scale, guidance_method', 'guidance_method',
          room('experiments/guide')),
    Fault('guidance sweep: distance to training images', GUIDANCE,
          '_features(drawn), _features(test)',
          '_features(drawn), _features(train)', room('experiments/guide')),
    Fault('guidance sweep: the most is the least', GUIDANCE,
          'best = min(distances', 'best = max(distances',
          room('reports/guidance_sweep')),
    Fault('guidance sweep: none is near', GUIDANCE,
          'distances[arm] <= least.high', 'distances[arm] < least.low',
          room('reports/guidance_sweep')),
)
