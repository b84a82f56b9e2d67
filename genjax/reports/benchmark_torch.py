"""The networks of a benchmark in PyTorch, and what is done with them there.

The same layers as ours, with our params: the U-Net is diffusers' own, the
transformer (facebookresearch/DiT's blocks) and the MLP are written here. Images
are [B, H, W, C] outside, as ours are.
"""

from typing import Any, Callable

from diffusers import DDIMScheduler
from diffusers import DDPMScheduler
from diffusers import DPMSolverMultistepScheduler
from diffusers import UNet2DModel
from diffusers.training_utils import EMAModel
import flax.traverse_util
import jax
import numpy as np
import torch
from torch import nn
from torch.nn import functional

from genjax.networks.embeddings import position_features
from genjax.networks.mlp import MLP
from genjax.networks.transformer import DiT
from genjax.networks.unet import UNet
from genjax.types import Params
from genjax.types import Shape

CHAIN: dict[str, Any] = dict(
    num_train_timesteps=1000, beta_start=1e-4, beta_end=0.02,
    beta_schedule='linear')
SCHEDULERS = {
    'ddim': lambda: DDIMScheduler(
        **CHAIN, clip_sample=False, set_alpha_to_one=True),
    'ancestral': lambda: DDPMScheduler(
        **CHAIN, clip_sample=False, variance_type='fixed_small'),
    'dpm_solver_2m': lambda: DPMSolverMultistepScheduler(**CHAIN),
}


def device() -> torch.device:
  """Where jax computes, PyTorch does."""
  return torch.device('cuda' if jax.default_backend() == 'gpu' else 'cpu')


def wait() -> None:
  """Until the device has done what it was told."""
  if device().type == 'cuda':
    torch.cuda.synchronize()


class _Conditioning(nn.Module):
  """Sines and cosines of the step, dense, swish, dense, swish."""

  def __init__(self, features: int, dim: int):
    super().__init__()
    half = features // 2
    self.register_buffer('frequencies', 1e4 ** -(
        torch.arange(half, dtype=torch.float64) / (half - 1)).float(),
                         persistent=False)
    self.linear_1, self.linear_2 = nn.Linear(features, dim), nn.Linear(dim, dim)

  def forward(self, step):
    angles = step[:, None] * self.frequencies
    h = torch.cat([torch.sin(angles), torch.cos(angles)], 1)
    return functional.silu(self.linear_2(functional.silu(self.linear_1(h))))


def _norm(features: int, affine: bool = False) -> nn.Module:
  return nn.LayerNorm(features, 1e-6, elementwise_affine=affine)


class _MLPBlock(nn.Module):

  def __init__(self, features: int):
    super().__init__()
    self.film = nn.Linear(features, 2 * features)
    self.norm = _norm(features)
    self.dense_1 = nn.Linear(features, features)
    self.dense_2 = nn.Linear(features, features)

  def forward(self, h, embedding):
    scale, shift = self.film(embedding).chunk(2, -1)
    y = self.dense_1(self.norm(h) * (1 + scale) + shift)
    return h + self.dense_2(functional.silu(y))


class _MLP(nn.Module):

  def __init__(self, network: MLP, event: Shape):
    super().__init__()
    features, size = network.features, int(np.prod(event))
    self.conditioning = _Conditioning(min(features, 64), features)
    self.dense_in = nn.Linear(size, features)
    self.blocks = nn.ModuleList(
        _MLPBlock(features) for _ in range(network.depth))
    self.norm_out = _norm(features, affine=True)
    self.dense_out = nn.Linear(features, size)

  def forward(self, x, step):
    embedding = self.conditioning(step)
    h = self.dense_in(x.flatten(1))
    for block in self.blocks:
      h = block(h, embedding)
    h = self.dense_out(functional.silu(self.norm_out(h)))
    return h.reshape(x.shape)


class _Attention(nn.Module):

  def __init__(self, features: int, head_dim: int):
    super().__init__()
    self.head_dim = head_dim
    for name in ('to_q', 'to_k', 'to_v', 'to_out'):
      setattr(self, name, nn.Linear(features, features))

  def forward(self, x):
    batch, tokens, features = x.shape

    def heads(h):
      return h.view(batch, tokens, -1, self.head_dim).transpose(1, 2)

    h = functional.scaled_dot_product_attention(
        heads(self.to_q(x)), heads(self.to_k(x)), heads(self.to_v(x)))
    return self.to_out(h.transpose(1, 2).reshape(batch, tokens, features))


class _DiTBlock(nn.Module):

  def __init__(self, network: DiT):
    super().__init__()
    features = network.features
    hidden = int(network.mlp_ratio * features)
    self.modulation = nn.Linear(features, 6 * features)
    self.norm_1, self.norm_2 = _norm(features), _norm(features)
    self.attention = _Attention(features, network.head_dim)
    self.dense_1 = nn.Linear(features, hidden)
    self.dense_2 = nn.Linear(hidden, features)

  def forward(self, h, embedding):
    shift_1, scale_1, gate_1, shift_2, scale_2, gate_2 = (
        self.modulation(embedding)[:, None].chunk(6, -1))
    h = h + gate_1 * self.attention(self.norm_1(h) * (1 + scale_1) + shift_1)
    y = self.dense_1(self.norm_2(h) * (1 + scale_2) + shift_2)
    return h + gate_2 * self.dense_2(functional.gelu(y, approximate='tanh'))


class _DiT(nn.Module):

  def __init__(self, network: DiT, event: Shape):
    super().__init__()
    features, self.size = network.features, network.patch_size
    height, width, channels = event
    patch = self.size**2 * channels
    self.conditioning = _Conditioning(min(features, 256), features)
    self.patch_in = nn.Linear(patch, features)
    self.register_buffer('position', torch.from_numpy(position_features(
        height // self.size, width // self.size, features)), persistent=False)
    self.blocks = nn.ModuleList(
        _DiTBlock(network) for _ in range(network.depth))
    self.norm = _norm(features)
    self.modulation_out = nn.Linear(features, 2 * features)
    self.patch_out = nn.Linear(features, patch)

  def forward(self, x, step):
    batch, height, width, channels = x.shape
    size = self.size
    rows, columns = height // size, width // size
    embedding = self.conditioning(step)
    h = x.view(batch, rows, size, columns, size, channels).transpose(2, 3)
    h = self.patch_in(h.reshape(batch, rows * columns, -1)) + self.position
    for block in self.blocks:
      h = block(h, embedding)
    shift, scale = self.modulation_out(embedding)[:, None].chunk(2, -1)
    h = self.patch_out(self.norm(h) * (1 + scale) + shift)
    h = h.view(batch, rows, columns, size, size, channels).transpose(2, 3)
    return h.reshape(x.shape)


def unet_options(network: UNet, event: Shape) -> dict[str, Any]:
  """Arguments of the UNet2DModel with the layers of ours."""
  attention = [i in network.attention_levels
               for i in range(len(network.channels))]
  return dict(
      sample_size=event[0], in_channels=event[-1], out_channels=event[-1],
      freq_shift=1, flip_sin_to_cos=False, down_block_types=tuple(
          'AttnDownBlock2D' if a else 'DownBlock2D' for a in attention),
      up_block_types=tuple('AttnUpBlock2D' if a else 'UpBlock2D'
                           for a in reversed(attention)),
      block_out_channels=tuple(network.channels), downsample_padding=0,
      layers_per_block=network.layers_per_block, norm_eps=1e-6,
      norm_num_groups=network.groups, attention_head_dim=network.head_dim)


class _UNet(nn.Module):

  def __init__(self, network: UNet, event: Shape):
    super().__init__()
    self.unet = UNet2DModel(**unet_options(network, event))

  def forward(self, x, step):
    return self.unet(
        x.permute(0, 3, 1, 2), step).sample.permute(0, 2, 3, 1)


_MODULES: dict[type, Callable[[Any, Shape], nn.Module]] = {
    MLP: _MLP, DiT: _DiT, UNet: _UNet}
_OF_UNET = {
    'down': 'down_blocks', 'up': 'up_blocks', 'resnet': 'resnets',
    'attention': 'attentions', 'downsample': 'down_blocks',
    'upsample': 'up_blocks'}


def make_module(network: Any, event: Shape, params: Params) -> nn.Module:
  """A network of ours in PyTorch, with its params, (x, step [B]) -> [B, ...].

  Args:
    network: MLP, DiT or UNet, told the noise level as `embeddings.TIMESTEP`.
    event: shape of an example.
    params: of the network.

  Raises:
    ValueError: the layers are not the same.
  """
  module = _MODULES[type(network)](network, event)
  ours: dict[str, torch.Tensor] = {}
  for path, leaf in flax.traverse_util.flatten_dict(params).items():
    array = np.asarray(leaf)
    if path[0] == 'blocks':
      for i, one in enumerate(array):
        ours['.'.join(('blocks', str(i), *path[1:-1], _leaf(path)))] = (
            _tensor(one))
    else:
      name = _unet_name(path) if isinstance(network, UNet) else (
          '.'.join((*path[:-1], _leaf(path))))
      ours[name] = _tensor(array)
  try:
    module.load_state_dict(ours)
  except RuntimeError as error:
    raise ValueError(f'make_module: layers must be the same, got {error}'
                     ) from error
  return module.to(device())


def count(module: nn.Module) -> int:
  """Its parameters."""
  return sum(p.numel() for p in module.parameters())


@torch.no_grad()
def apply(module: nn.Module, x: np.ndarray, step: float) -> np.ndarray:
  """The output for x [B, ...] at one noise level."""
  x = torch.from_numpy(x).to(device())
  return module(x, torch.full((len(x),), step).to(x)).cpu().numpy()


def _leaf(path: tuple[str, ...]) -> str:
  return 'bias' if path[-1] == 'bias' else 'weight'


def _tensor(array: np.ndarray) -> torch.Tensor:
  """A kernel [..., in, out] as a weight [out, in, ...]."""
  axes = (3, 2, 0, 1) if array.ndim == 4 else tuple(range(array.ndim))[::-1]
  return torch.from_numpy(np.array(array.transpose(axes), order='C'))


def _unet_name(path: tuple[str, ...]) -> str:
  """down_1/attention_0/attention/to_out: that of diffusers."""
  parts = ['unet']
  for i, part in enumerate(path[:-1]):
    word, _, number = part.partition('_')
    if part == 'mid':
      parts.append('mid_block')
    elif part == 'attention':
      continue
    elif part == 'to_out':
      parts.append('to_out.0')
    elif word in _OF_UNET and number.isdigit():
      parts += [_OF_UNET[word], number]
      if i == 0 and word.endswith('sample'):
        parts.append(f'{word}rs.0.conv')
    else:
      parts.append(part)
  return '.'.join((*parts, _leaf(path)))


def make_step(
    module: nn.Module, x: np.ndarray, *, compiled: bool = False
) -> Callable[[], None]:
  """One step of training: noise, loss, gradient, clipping, Adam, average.

  With PyTorch's fused Adam and diffusers' average by foreach.

  Args:
    module: of `make_module`, which is trained.
    x: [B, ...], the batch.
    compiled: whether by torch.compile.
  """
  scheduler, where = DDPMScheduler(**CHAIN), device()
  module = module.train()
  forward = torch.compile(module) if compiled else module
  adam = torch.optim.Adam(
      module.parameters(), 1e-4, betas=(0.9, 0.99), fused=True)
  average = EMAModel(module.parameters(), 0.999, foreach=True)

  def step() -> None:
    x0 = torch.from_numpy(x).to(where)
    noise = torch.randn_like(x0)
    steps = torch.randint(0, 1000, (len(x0),), device=where)
    out = forward(scheduler.add_noise(x0, noise, steps), steps.float())
    loss = functional.mse_loss(out, noise)
    adam.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(module.parameters(), 1.0)
    adam.step()
    average.step(module.parameters())
    wait()

  return step


def make_draw(
    predict: Callable[..., torch.Tensor], name: str, num_steps: int,
    x: np.ndarray, *, compiled: bool = False
) -> Callable[[], np.ndarray]:
  """From noise x [B, ...] to samples, by a scheduler of SCHEDULERS."""
  scheduler = SCHEDULERS[name]()
  if compiled:
    predict = torch.compile(predict)

  @torch.no_grad()
  def draw() -> np.ndarray:
    scheduler.set_timesteps(num_steps)
    state = torch.from_numpy(x).to(device())
    for step in scheduler.timesteps:
      out = predict(state, step.to(state).expand(len(state)))
      state = scheduler.step(out, step, state).prev_sample
    return state.cpu().numpy()

  return draw


def make_calls(
    predict: Callable[..., torch.Tensor], num_steps: int, x: np.ndarray
) -> Callable[[], None]:
  """The network's calls of `make_draw`, without the scheduler's steps."""
  timesteps = DDIMScheduler(**CHAIN).timesteps[:num_steps]

  @torch.no_grad()
  def calls() -> None:
    state = torch.from_numpy(x).to(device())
    for step in timesteps:
      state = predict(state, step.to(state).expand(len(state)))
    wait()

  return calls
