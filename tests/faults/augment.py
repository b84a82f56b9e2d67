"""Faults in how images are changed in training, and in how that is told."""

from tests.faults.fault import Fault
from tests.faults.fault import room

AUGMENT, PIPELINE = 'genjax/data/augment.py', 'genjax/data/pipeline.py'
IMAGES, TOLD = room('data/augment'), room('runs/augment')

FAULTS = (
    Fault('augment: smaller for larger', AUGMENT,
          'np.exp(-_SCALE * change.scale)', 'np.exp(_SCALE * change.scale)',
          IMAGES),
    Fault('augment: turned the other way', AUGMENT,
          'turned(change.angle) @', 'turned(-change.angle) @', IMAGES),
    Fault('augment: all changes or none', AUGMENT,
          'u[:, i] < probability', 'u[:, 0] < probability', IMAGES),
    Fault('augment: the border doubled', AUGMENT, "'reflect')", "'symmetric')",
          IMAGES),
    Fault('augment: colours overshoot', AUGMENT,
          'np.clip(found, low, high)', 'found',
          IMAGES),
    Fault('augment: every epoch changed alike', PIPELINE,
          'random_bits(words, seed, _AUGMENT, int(epoch),',
          'random_bits(words, seed, _AUGMENT, 0,', room('data/pipeline')),
    Fault('augment: neighbours share random bits', PIPELINE,
          'int(place) * words // 4', 'int(place)', room('data/pipeline')),
    Fault('augment: dropped with the class', 'genjax/diffusion/conditions.py',
          "if name == 'augment'}", 'if False}', TOLD),
    Fault('augment: unchanged is told to be something',
          'genjax/networks/embeddings.py', 'use_bias=False', 'use_bias=True',
          room('networks/embeddings')),
    Fault('augment: a DiT is not told', 'genjax/networks/transformer.py',
          "augment_size=self.augment_size, name=", 'name=',
          room('networks/conditions')),
    Fault('augment: nothing is changed', 'genjax/runs/prepare.py',
          'augment=objective.augment,', 'augment=0.0,', TOLD),
    Fault('augment: classes told to an unconditional model',
          'genjax/runs/diffusion.py', 'if settings.augment and not told:',
          'if False:', TOLD),
    Fault('augment: no weights of unchanged images taken',
          'genjax/runs/start.py', "if _OF_CHANGES in name", 'if not name',
          room('runs/start')),
    Fault('augment: memory of another program', 'genjax/runs/measure.py',
          'augment=objective.augment,\n                              rows=',
          'rows=', TOLD),
)
