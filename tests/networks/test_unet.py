"""Laws of the U-Net: the published layout, and a reference in numpy."""

import jax
import jax.numpy as jnp
import numpy as np

from genjax.networks import embeddings
from genjax.networks.unet import UNet


def shapes(network, x_shape):
  variables = jax.eval_shape(
      network.init, jax.random.key(0), jnp.zeros(x_shape), jnp.zeros(1))
  flat, _ = jax.tree_util.tree_flatten_with_path(variables['params'])
  return {'/'.join(p.key for p in path): leaf.shape for path, leaf in flat}


def test_unet_has_the_published_layout():
  """google/ddpm-cifar10-32: 35 746 307 parameters, arXiv:2006.11239 says 35.7M.
  """
  layout = shapes(UNet(), (1, 32, 32, 3))
  assert sum(np.prod(s) for s in layout.values()) == 35746307
  expected = {'conv_in': (3, 3, 3, 128), 'conv_out': (3, 3, 128, 3),
              'time_embedding/linear_1': (128, 512),
              'time_embedding/linear_2': (512, 512)}
  # (input channels of each residual block, output channels).
  blocks = {'down_0': ([128, 128], 128), 'down_1': ([128, 256], 256),
            'down_2': ([256, 256], 256), 'down_3': ([256, 256], 256),
            'mid': ([256, 256], 256), 'up_0': ([512, 512, 512], 256),
            'up_1': ([512, 512, 512], 256), 'up_2': ([512, 512, 384], 256),
            'up_3': ([384, 256, 256], 128)}
  for name, (inputs, out) in blocks.items():
    for i, size in enumerate(inputs):
      resnet = f'{name}/resnet_{i}'
      expected[f'{resnet}/conv1'] = (3, 3, size, out)
      expected[f'{resnet}/conv2'] = (3, 3, out, out)
      expected[f'{resnet}/time_emb_proj'] = (512, out)
      if size != out:
        expected[f'{resnet}/conv_shortcut'] = (1, 1, size, out)
  for name, count in {'down_1': 2, 'mid': 1, 'up_2': 3}.items():
    for i in range(count):
      for part in 'to_q', 'to_k', 'to_v', 'to_out':
        expected[f'{name}/attention_{i}/attention/{part}'] = (256, 256)
  for i, size in enumerate((128, 256, 256)):
    expected[f'downsample_{i}'] = (3, 3, size, size)
    expected[f'upsample_{i}'] = (3, 3, 256, 256)
  kernels = {name.removesuffix('/kernel'): shape
             for name, shape in layout.items() if name.endswith('/kernel')}
  assert kernels == expected
  norms = [name for name in layout if name.endswith('/scale')]
  # Two a residual block, one an attention, one at the end.
  assert len(norms) == 2 * 22 + 6 + 1


def test_unet_of_the_digits_has_178k_parameters():
  network = UNet((16, 32), 1, (1,), head_dim=8, groups=8, num_classes=10)
  assert network.factor == 2

  def conv(i, o, k=3):
    return k * k * i * o + o

  def resnet(i, o):
    return (2 * i + conv(i, o) + 64 * o + o + 2 * o + conv(o, o)
            + (conv(i, o, 1) if i != o else 0))

  attention = 2 * 32 + 4 * (32 * 32 + 32)
  expected = (
      conv(1, 16) + (16 * 64 + 64) + (64 * 64 + 64) + 11 * 64
      + resnet(16, 16) + conv(16, 16) + resnet(16, 32) + attention
      + 2 * resnet(32, 32) + attention
      + resnet(64, 32) + resnet(48, 32) + 2 * attention + conv(32, 32)
      + resnet(48, 16) + resnet(32, 16) + 2 * 16 + conv(16, 1))
  total = sum(np.prod(s) for s in shapes(network, (1, 8, 8, 1)).values())
  assert total == expected
  assert 177e3 < total < 178.5e3


def swish(x):
  return x / (1 + np.exp(-x))


def conv(p, x, stride=1, pad=(1, 1)):
  """A convolution as its definition, [B, H, W, C]."""
  size = p['kernel'].shape[0]
  if size == 3:
    x = np.pad(x, ((0, 0), pad, pad, (0, 0)))
  h, w = ((n - size) // stride + 1 for n in x.shape[1:3])
  out = np.zeros((len(x), h, w, p['kernel'].shape[-1])) + p['bias']
  for i in range(h):
    for j in range(w):
      patch = x[:, i * stride:i * stride + size, j * stride:j * stride + size]
      out[:, i, j] += np.einsum('bijc,ijco->bo', patch, p['kernel'])
  return out


def norm(p, x, groups=2):
  y = x.reshape(len(x), -1, groups, x.shape[-1] // groups)
  y = (y - y.mean((1, 3), keepdims=True)) / np.sqrt(
      y.var((1, 3), keepdims=True) + 1e-6)
  return y.reshape(x.shape) * p['scale'] + p['bias']


def dense(p, x):
  return x @ p['kernel'] + p['bias']


def resnet(p, x, temb):
  h = conv(p['conv1'], swish(norm(p['norm1'], x)))
  h = h + dense(p['time_emb_proj'], swish(temb))[:, None, None]
  h = conv(p['conv2'], swish(norm(p['norm2'], h)))
  return h + (conv(p['conv_shortcut'], x) if 'conv_shortcut' in p else x)


def attention(p, x):
  """One head over all pixels."""
  h = norm(p['group_norm'], x).reshape(len(x), -1, x.shape[-1])
  q, k, v = (dense(p['attention'][n], h) for n in ('to_q', 'to_k', 'to_v'))
  weights = np.exp(q @ k.swapaxes(1, 2) / np.sqrt(x.shape[-1]))
  weights /= weights.sum(-1, keepdims=True)
  return x + dense(p['attention']['to_out'], weights @ v).reshape(x.shape)


def test_unet_matches_numpy():
  """The whole network, from its parameters, on two levels of one block."""
  network = UNet((4, 8), 1, (1,), groups=2, num_classes=3,
                 noise=embeddings.TIMESTEP)
  rng = np.random.default_rng(0)
  x = rng.normal(size=(2, 4, 6, 1))
  step, label = np.array([3.0, 800.0]), np.array([1, 3])
  variables = jax.tree.map(
      lambda p: rng.normal(size=p.shape, scale=.3).astype('f4'),
      jax.eval_shape(network.init, jax.random.key(0), jnp.zeros(x.shape),
                     jnp.zeros(2)))
  # The time of this test is that of compiling.
  apply = jax.jit(network.apply,
                  compiler_options={'xla_backend_optimization_level': 0})
  actual = apply(
      variables, x.astype('f4'), step.astype('f4'),
      {'label': label, 'absent': label == 3})

  p = jax.tree.map(lambda a: np.asarray(a, np.float64), variables['params'])
  angles = step[:, None] * np.array([1.0, 1e-4])
  temb = np.concatenate([np.sin(angles), np.cos(angles)], axis=1)
  embed = p['time_embedding']
  temb = dense(embed['linear_2'], swish(dense(embed['linear_1'], temb)))
  temb = temb + embed['class_embedding']['embedding'][label]

  skip_0 = conv(p['conv_in'], x)
  skip_1 = resnet(p['down_0']['resnet_0'], skip_0, temb)
  skip_2 = conv(p['downsample_0'], skip_1, stride=2, pad=(0, 1))
  skip_3 = resnet(p['down_1']['resnet_0'], skip_2, temb)
  skip_3 = attention(p['down_1']['attention_0'], skip_3)
  h = resnet(p['mid']['resnet_0'], skip_3, temb)
  h = attention(p['mid']['attention_0'], h)
  h = resnet(p['mid']['resnet_1'], h, temb)
  for i, skip in enumerate((skip_3, skip_2)):
    h = np.concatenate([h, skip], axis=-1)
    h = resnet(p['up_0'][f'resnet_{i}'], h, temb)
    h = attention(p['up_0'][f'attention_{i}'], h)
  h = conv(p['upsample_0'], h.repeat(2, axis=1).repeat(2, axis=2))
  for i, skip in enumerate((skip_1, skip_0)):
    h = np.concatenate([h, skip], axis=-1)
    h = resnet(p['up_1'][f'resnet_{i}'], h, temb)
  expected = conv(p['conv_out'], swish(norm(p['conv_norm_out'], h)))
  # Some fifty float32 layers of rounding 1e-7 each.
  np.testing.assert_allclose(actual, expected, rtol=0,
                             atol=1e-5 * np.abs(expected).max())
