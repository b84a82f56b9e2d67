"""Faults in what the networks of diffusion models are told."""

from tests.faults.fault import Fault
from tests.faults.fault import room

ATTENTION = 'genjax/networks/attention.py'
EMBEDDINGS = 'genjax/networks/embeddings.py'
MAGNITUDE = 'genjax/networks/magnitude_preserving.py'
OPTIMIZERS = 'genjax/training/optimizers.py'
LAYERS = room('networks/magnitude_preserving')
TOLD = room('networks/conditions')

FAULTS = (
    Fault('attention: fused on any GPU', ATTENTION,
          "'cuda' not in", "'' not in", room('networks/attention')),
    Fault('attention: fused heads of any size', ATTENTION,
          'head_dim % 8 == 0', 'head_dim % 4 == 0', room('networks/attention')),
    Fault('attention: no forward derivative', ATTENTION,
          '(_fused if train else _fused_forward)', '_fused',
          room('networks/attention')),
    Fault('attention: gradient never fused', 'genjax/networks/unet.py',
          'channels), train)', 'channels))', room('networks/attention')),
    Fault('"no class" in the dtype of the labels', EMBEDDINGS,
          'label = label.astype(jnp.int32)', 'label = jnp.asarray(label)',
          room('networks/embeddings')),
    Fault('class embedding: absent is class 0', EMBEDDINGS,
          'jnp.where(absent, classes, label)',
          'jnp.where(absent, 0, label)', room('networks/embeddings')),
    Fault('class embedding: any label beyond is no class', EMBEDDINGS,
          '(label < 0) | (label >= classes)', 'label < 0',
          room('networks/embeddings')),
    Fault('vector: NaN comes back in the gradient', EMBEDDINGS,
          'jnp.where(absent, 0, vector)', 'vector', TOLD),
    Fault('vector: absence is zero', EMBEDDINGS,
          'jnp.where(absent, nothing.astype(h.dtype), h)',
          'jnp.where(absent, 0 * nothing.astype(h.dtype), h)', TOLD),
    Fault('image: seen where it is absent', EMBEDDINGS,
          "broadcast_right(cond['absent'], x.ndim)",
          "broadcast_right(cond['absent'] & False, x.ndim)", TOLD),
    Fault('noise: the first level twice', EMBEDDINGS,
          'sinusoidal_features(levels[:, i]',
          'sinusoidal_features(levels[:, 0]', TOLD),
    Fault('DiT: image not joined', 'genjax/networks/transformer.py',
          '(patchify(h, size))', '(patchify(x, size))', TOLD),
    Fault('UNet: vector not told', 'genjax/networks/unet.py',
          'self.vector_size, self.noise, dtype=self.dtype,',
          'None, self.noise, dtype=self.dtype,', TOLD),
    Fault('magnitude: silu unscaled', MAGNITUDE, 'nn.silu(x) / _SILU',
          'nn.silu(x)', LAYERS),
    Fault('magnitude: a sum of weights that add up to 1', MAGNITUDE,
          '(1 - share) * a + share * b) / math.hypot(1 - share, share)',
          '(1 - share) * a + share * b)', LAYERS),
    Fault('magnitude: joined as they are', MAGNITUDE,
          'math.sqrt(half / a.shape[-1]) * a', 'a', LAYERS),
    Fault('magnitude: weights by the channels, not the window', MAGNITUDE,
          'math.sqrt(math.prod(shape[:-1]))', 'math.sqrt(shape[-2])', LAYERS),
    Fault('magnitude: weights count by their size', MAGNITUDE,
          "weight = unit_rms(self.param('direction', _direction, shape),\n"
          '                      _inputs(shape)) /',
          "weight = self.param('direction', _direction, shape) /",
          room('networks/mp_unet')),
    Fault('magnitude: the encoder is not normalised', MAGNITUDE,
          'x = pixel_norm(shortcut(x))', 'x = 2 * shortcut(x)',
          room('networks/mp_unet')),
    Fault('magnitude: heads are not normalised', MAGNITUDE,
          'jnp.moveaxis(pixel_norm(heads), 2, 0)',
          'jnp.moveaxis(heads * 9, 2, 0)', room('networks/mp_unet')),
    Fault('magnitude: weights leave the sphere', OPTIMIZERS,
          "if _name(path) != 'direction':", 'if True:',
          room('networks/mp_unet')),
    Fault('magnitude: the norm of a whole weight', OPTIMIZERS,
          'tuple(range(x.ndim - 1))', 'tuple(range(x.ndim))',
          room('training/optimizers')),
)
