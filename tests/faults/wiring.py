"""Faults between a setting and what it decides, and between numbers and ink."""

from tests.faults.fault import Fault
from tests.faults.fault import room

CLASSIFIER = 'genjax/runs/classifier.py'
DENSITY = 'genjax/runs/density.py'
VAE = 'genjax/runs/vae.py'
CURVES = 'genjax/reports/curves.py'


def decides(kind: str) -> tuple[str, ...]:
  """The test that every setting of a kind changes the fingerprint of a run."""
  return ('tests/runs/test_fingerprint.py::'
          f'test_every_setting_decides_something[{kind}]',)


FAULTS = (
    Fault('classifier: no dropout', CLASSIFIER, 'dropout=settings.dropout)',
          'dropout=0.0)', decides('classifier')),
    Fault('classifier: no weight decay', CLASSIFIER,
          'weight_decay=settings.weight_decay,', 'weight_decay=0.0,',
          decides('classifier')),
    Fault('classifier: labels not smoothed', CLASSIFIER,
          'label_smoothing=settings.label_smoothing,', '',
          decides('classifier')),
    Fault('classifier: nothing mixed', CLASSIFIER, 'mixup=settings.mixup,',
          'mixup=0.0,', decides('classifier')),
    Fault('classifier: moved by one pixel', CLASSIFIER,
          'most=settings.shift)', 'most=1)', decides('classifier')),
    Fault('classifier: an average of its own', CLASSIFIER,
          'ema(settings.ema_decay)', 'ema(0.98)', decides('classifier')),
    Fault('vae: no weight decay', VAE, 'weight_decay=settings.weight_decay,',
          'weight_decay=0.1,', decides('vae')),
    Fault('vae: beta is 1', VAE, 'beta=settings.beta,', 'beta=1.0,',
          decides('vae')),
    Fault('vae: no free bits', VAE, 'free_bits=settings.free_bits\n',
          'free_bits=0.0\n', decides('vae')),
    Fault('vae: five codes', VAE, 'num_samples=settings.importance_samples)',
          'num_samples=5)', decides('vae')),
    Fault('vae: b2 ignored', VAE, 'b2=settings.b2,', 'b2=0.99,',
          decides('vae')),
    Fault('density: an average of its own', DENSITY,
          'averages.ema(settings.ema_decay)', 'averages.ema(0.99)',
          decides('density')),
    Fault('density: in standard units', 'genjax/densities.py',
          ' - np.sum(np.log(scale))', '', room('runs/density', 'runs/kept')),
    Fault('curves: not drawn', CURVES, 'Layer(kind, x, y, said, color)',
          'Layer(kind, x[:0], y[:0], said, color)',
          ('tests/experiments/test_train_vae.py::'
           'test_training_leaves_curves_figures_and_numbers',)),
    Fault('curves: of diffusion not drawn', 'genjax/viz/curves.py',
          'axis.plot(*np.transpose(points), **style)',
          'axis.plot([], [], **style)', room('viz/viz')),
)
