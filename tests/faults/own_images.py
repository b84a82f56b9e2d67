"""Faults in what is chosen for own images, and in what is said of a run."""

from tests.faults.fault import Fault
from tests.faults.fault import room

COPYING, PROGRESS = 'genjax/metrics/copying.py', 'genjax/metrics/progress.py'
FIT = 'genjax/runs/fit.py'
MEASURE, RECIPE = 'genjax/runs/measure.py', 'genjax/runs/recipe.py'
CLOCK = 'genjax/training/clock.py'

FAULTS = (
    Fault('copying: nearer is farther', COPYING,
          'pairs - n * m / 2', 'n * m / 2 - pairs', room('metrics/copying')),
    Fault('copying: cells of one weight', COPYING,
          'weights.append(m)', 'weights.append(1)', room('metrics/copying')),
    Fault('authenticity: a point is its own neighbour', COPYING,
          'squared[itself] = np.inf', 'pass', room('metrics/copying')),
    Fault('comparison: copies of test images', 'genjax/metrics/comparison.py',
          'or copying.authenticity(*sets[:2])',
          'or copying.authenticity(sets[0], sets[2])',
          room('metrics/comparison')),
    Fault('progress: any gap is memorised', PROGRESS,
          '_SURE * np.hypot(one, other)', '0.2 * np.hypot(one, other)',
          room('metrics/progress')),
    Fault('progress: keeps the last', PROGRESS,
          'int(np.argmin(test.mean(1)))', 'len(steps) - 1',
          room('metrics/progress')),
    Fault('progress: flat from the first step', PROGRESS,
          'first = behind[-1] + 1 if behind else 0', 'first = 0',
          room('metrics/progress')),
    Fault('diffusion: training loss of test data',
          'genjax/runs/diffusion_progress.py',
          "look(state.averages['ema'], seen)",
          "look(state.averages['ema'], test)",
          room('experiments/train_diffusion')),
    Fault('data: nothing held out', 'genjax/data/named.py',
          '_HELD_OUT if len(source) >= _FEW else 0.0', '0.0',
          room('data/arrays')),
    Fault('minutes: compiled once', MEASURE, 'cost.spent + cost.compiling',
          'cost.spent', room('runs/recipe')),
    Fault('memory: what the step returns counted twice', MEASURE,
          ' - found.alias_size_in_bytes', '', room('runs/measure')),
    Fault('memory: nothing is too large', FIT, 'check_memory(compiled, state, '
          'key, settings, objective, data.train)', 'pass',
          room('runs/measure')),
    Fault('memory: the batch that fits is half of it', MEASURE,
          'size = max(parts, min(size - parts, int(size * there / more)',
          'size = max(parts, min(size // 2, int(size * there / more)',
          room('runs/measure')),
    Fault('program: another than the step', 'genjax/training/parallel.py',
          'np.asarray(x).dtype, sharding=sharding(x)), state)',
          'np.asarray(x).dtype), state)', room('training/parallel')),
    Fault('time left: without what is beside the steps', CLOCK,
          'self._calls_left(self._every[name])', '0', room('training/clock')),
    Fault('time left: hooks count as steps', CLOCK,
          'self._begun - spent) /', 'self._begun) /', room('training/clock')),
    Fault('time left: compiling goes on', CLOCK, 'if step >= self._since:',
          'if True:', room('training/clock')),
    Fault('recipe: noise of any side', RECIPE, 'max(20.0, 2.5 * side)', '20.0',
          room('runs/recipe')),
    Fault('recipe: channels that heads do not divide', RECIPE,
          'channels[attended])', '32)', room('runs/recipe')),
    Fault('auto: chosen anew for a run that goes on',
          'genjax/runs/diffusion_choice.py',
          'dataclasses.asdict(before) if before else', '',
          room('experiments/own_images')),
)
