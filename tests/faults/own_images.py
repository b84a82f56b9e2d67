"""Faults in what is chosen for own images, and in what is said of a run."""

from tests.faults.fault import Fault
from tests.faults.fault import room

COPYING, PROGRESS = 'genjax/metrics/copying.py', 'genjax/metrics/progress.py'
FIT, RECIPE = 'genjax/runs/fit.py', 'genjax/runs/recipe.py'
SCRIPT = 'experiments/train_diffusion.py'

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
    Fault('minutes: compiled once', FIT,
          '(time.perf_counter() - begun) + compiling',
          '(time.perf_counter() - begun)', room('runs/recipe')),
    Fault('recipe: noise of any side', RECIPE, 'max(20.0, 2.5 * side)', '20.0',
          room('runs/recipe')),
    Fault('recipe: channels that heads do not divide', RECIPE,
          'channels[attended])', '32)', room('runs/recipe')),
    Fault('auto: chosen anew for a run that goes on', SCRIPT,
          'dataclasses.asdict(before) if before else', '',
          room('experiments/own_images')),
)
