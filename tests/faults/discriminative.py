"""Faults in discriminative networks and the script that trains them."""

from tests.faults.fault import Fault
from tests.faults.fault import room

DISCRIMINATIVE = 'genjax/discriminative.py'
CLASSIFIERS = ('tests/test_discriminative.py',)
RUN = 'experiments/classifier_run.py'

FAULTS = (
    Fault('mixup: targets left as they are', DISCRIMINATIVE,
          'target = (share[:, None] * one_hot\n'
          '              + (1 - share[:, None]) * '
          'jnp.roll(one_hot, 1, axis=0))',
          'target = one_hot', CLASSIFIERS),
    Fault('mixup: targets of the other neighbour', DISCRIMINATIVE,
          'jnp.roll(one_hot, 1, axis=0)', 'jnp.roll(one_hot, -1, axis=0)',
          CLASSIFIERS),
    Fault('label smoothing: in evaluation too', DISCRIMINATIVE,
          'if train:\n      target', 'if True:\n      target', CLASSIFIERS),
    Fault('augmentation: keys of other examples', DISCRIMINATIVE,
          'x = augment(keys, x)', 'x = augment(jnp.roll(keys, 1), x)',
          CLASSIFIERS),
    Fault('regression: log scale taken as log variance', DISCRIMINATIVE,
          'NormalParams(loc, jnp.exp(log_scale))',
          'NormalParams(loc, jnp.exp(0.5 * log_scale))', CLASSIFIERS),
    Fault('shift_images: biased to one side', DISCRIMINATIVE,
          '(2,), 0, 2 * most + 1)', '(2,), 0, 2 * most)', CLASSIFIERS),
    Fault('effective_dimension: of standard deviations', DISCRIMINATIVE,
          'jnp.square(jnp.sum(variances)) /', 'jnp.sum(variances) /',
          CLASSIFIERS),
    Fault('principal_components: not centred', DISCRIMINATIVE,
          'jnp.linalg.svd(x - mean,', 'jnp.linalg.svd(x,', CLASSIFIERS),
    Fault('resnet: blocks that begin at random', 'genjax/networks/cnn.py',
          "'conv2', init=_ZEROS", "'conv2'", room('networks/extractors')),
    Fault('resnet: features never dropped out', 'genjax/networks/cnn.py',
          'return nn.Dropout(self.dropout, deterministic=not train)(h)',
          'return nn.Dropout(self.dropout, deterministic=True)(h)',
          room('networks/extractors')),
    Fault('perceptron: last layer without activation', 'genjax/networks/mlp.py',
          'h = ACTIVATIONS[self.activation](h)',
          'h = ACTIVATIONS[self.activation](h) if i + 1 < len(self.widths) '
          'else h',
          room('networks/extractors')),
    Fault('spirals: a turn too many', 'genjax/data/toy.py',
          '2 * math.pi * turns * fraction', '3 * math.pi * turns * fraction',
          room('data/toy')),
    Fault('xor: label of the sign of one coordinate', 'genjax/data/toy.py',
          'sign * (1 - 2 * label)', 'sign', room('data/toy')),
    Fault('extractor_hash: of the head too', RUN,
          "tree_leaves_with_path(params['extractor'])",
          'tree_leaves_with_path(params)',
          room('experiments/train_classifier')),
    Fault('in_blocks: last block dropped', RUN,
          'for i in range(0, len(x), _BLOCK)])',
          'for i in range(0, len(x) - _BLOCK, _BLOCK)])',
          room('experiments/train_classifier')),
    Fault('held-out points are the training points',
          'experiments/playground.py',
          'source(2 * seed), source(2 * seed + 1)',
          'source(2 * seed), source(2 * seed)',
          room('experiments/train_classifier')),
    Fault('load_run: weights that are not averaged', RUN,
          'return model, state.ema, step', 'return model, state.params, step',
          room('experiments/train_classifier')),
    Fault('confusion: figure of another order', 'genjax/viz/classifiers.py',
          'probabilities @ colours', 'probabilities[..., ::-1] @ colours',
          room('viz/classifiers')),
)
