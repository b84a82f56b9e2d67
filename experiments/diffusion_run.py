"""A diffusion run: from its settings to model, loss and samples.

Shared by the scripts that train, sample and draw. A run's settings are plain
JSON, kept in the work directory's flags.json.
"""

import functools
from typing import Any, Callable, Mapping, NamedTuple

from absl import flags
import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments import common
from experiments import training_run
from genjax.checks import check
from genjax.checks import check_choice
from genjax.diffusion import conditions
from genjax.diffusion import guidance
from genjax.diffusion import loss
from genjax.diffusion import prediction
from genjax.diffusion import process
from genjax.diffusion import samplers
from genjax.diffusion import times
from genjax.diffusion import weighting
from genjax.diffusion.model import Diffusion
from genjax.diffusion.model import fixed
from genjax.diffusion.model import init_model
from genjax.diffusion.model import make_denoiser
from genjax.diffusion.model import MakeDenoiser
from genjax.networks.init import init_params
from genjax.networks.mlp import MLP
from genjax.networks.transformer import DiT
from genjax.networks.unet import UNet
from genjax.training import parallel
from genjax.training.optimizers import make_optimizer
from genjax.training.state import init_state
from genjax.training.state import State
from genjax.types import Array
from genjax.types import Cond
from genjax.types import LossFn
from genjax.types import Params
from genjax.types import Process

Settings = Mapping[str, Any]

NETWORKS: Mapping[str, Callable[[Settings], Any]] = {
    'unet': lambda s: UNet(
        channels=tuple(s['width']), layers_per_block=s['depth'],
        attention_levels=tuple(s['attention_levels']),
        head_dim=s['head_dim'], groups=s['groups'], dropout=s['dropout'],
        num_classes=s['num_classes']),
    'dit': lambda s: DiT(
        patch_size=s['patch_size'], features=s['width'][0], depth=s['depth'],
        head_dim=s['head_dim'], dropout=s['dropout'],
        num_classes=s['num_classes']),
    'mlp': lambda s: MLP(
        features=s['width'][0], depth=s['depth'], dropout=s['dropout'],
        num_classes=s['num_classes']),
}


def _trained_at(proc: Process, settings: Settings) -> Process:
  """`proc` with the settings' own training times."""
  return proc._replace(times=times.log_normal(
      proc, settings['times_mean'], settings['times_std']))


PROCESSES: Mapping[str, Callable[[Settings], Process]] = {
    'edm': lambda s: _trained_at(
        process.edm(s['sigma_min'], s['sigma_max']), s),
    've': lambda s: _trained_at(process.ve(s['sigma_min'], s['sigma_max']), s),
    'vp_linear': lambda s: process.vp_linear(),
    'vp_cosine': lambda s: process.vp_cosine(),
    'ddpm': lambda s: process.discretize(process.linear_betas()),
    'flow_matching': lambda s: process.flow_matching(),
}

# What the network predicts, and the weighting that goes with it.
PREDICTIONS: Mapping[str, Callable[[Settings], tuple]] = {
    'x0': lambda s: (prediction.x0, weighting.min_snr()),
    'eps': lambda s: (prediction.eps, weighting.eps),
    'v': lambda s: (prediction.v, weighting.v),
    'velocity': lambda s: (prediction.velocity, weighting.flow_matching),
    'edm': lambda s: (prediction.edm(s['data_std']),
                      weighting.edm(s['data_std'])),
}

SAMPLERS: Mapping[str, Callable[[Process], samplers.Sampler]] = {
    'ddpm': samplers.ancestral,
    'ddim': samplers.ddim,
    'euler': samplers.euler,
    'heun': samplers.heun,
    'dpm_solver_2m': samplers.dpm_solver_2m,
}


class Model(NamedTuple):
  """A diffusion model without its parameters."""

  network: Any
  diffusion: Diffusion
  process: Process  # that of `diffusion`, whose schedule is fixed
  weighting: weighting.Weighting
  denoiser: MakeDenoiser  # (params, cond=None) -> Denoiser
  settings: Settings


def build_model(settings: Settings) -> Model:
  """The model that `settings` describe.

  Raises:
    ValueError: an unknown name, or parts that do not fit together.
  """
  for name, table in (('network', NETWORKS), ('process', PROCESSES),
                      ('prediction', PREDICTIONS)):
    check_choice(name, 'it', settings[name], table)
  flat = len(settings['shape']) == 1
  check(flat == (settings['network'] == 'mlp'), 'network',
        'must be mlp for points (--preset=toy) and unet or dit for images',
        f'{settings["network"]} for data of shape {settings["shape"]}')
  network = NETWORKS[settings['network']](settings)
  proc = PROCESSES[settings['process']](settings)
  predict, weight = PREDICTIONS[settings['prediction']](settings)
  prediction.check_defined('--prediction', proc, predict)
  diffusion = Diffusion(
      network.apply, fixed(proc), predict, settings['data_std'])
  return Model(network, diffusion, proc, weight, make_denoiser(diffusion),
               settings)


def optimizer(settings: Settings) -> optax.GradientTransformation:
  """The run's optimizer."""
  return make_optimizer(
      settings['learning_rate'], settings['steps'], b2=settings['b2'],
      warmup_steps=min(settings['warmup'], settings['steps'] - 1))


def init_run(model: Model) -> State:
  """The state before the first step."""
  settings = model.settings
  variables = init_params(common.root_key(settings['seed'], 'init'),
                          model.network, (1, *settings['shape']))
  return init_state(init_model(variables['params']), optimizer(settings),
                    ['ema'])


def make_loss(model: Model, *, train: bool) -> LossFn:
  """The training loss, or the same without dropout, for held-out data."""
  s = model.settings
  conditional = s['num_classes'] is not None
  return loss.make_loss(
      model.diffusion, weighting=model.weighting,
      null=conditions.null if conditional else None,
      drop=s['label_dropout'] if conditional and train else 0.0, train=train)


def as_cond(label: Array | None) -> Cond | None:
  """What a model of classes is told of labels [B]."""
  return None if label is None else {'label': label}


class Generator(NamedTuple):
  """Draws samples of one model by one method."""

  model: Model
  # (params, key, index [B], label [B] or None, scale) -> x [B, ...]
  draw: Callable[..., Array]
  trajectory: Callable[..., Array]  # the same -> [T + 1, B, ...]
  times: Array  # [T + 1]
  batch_size: int


def make_generator(
    model: Model, *, sampler: str, num_steps: int, guided: bool,
    batch_size: int = 100
) -> Generator:
  """Compiles a sampler: noise to data, in batches of one size.

  Args:
    model: the model.
    sampler: one of SAMPLERS.
    num_steps: T.
    guided: whether the guidance scale is not 1; costs a second evaluation
      where the log-SNR is in the settings' interval.
    batch_size: how many samples are drawn at a time.

  Raises:
    ValueError: an unknown sampler; guidance of an unconditional model.
  """
  check_choice('sampler', 'it', sampler, SAMPLERS)
  num_classes = model.settings['num_classes']
  check(not guided or num_classes is not None, 'guidance',
        'must be 1 for an unconditional model', 'another scale')
  method = SAMPLERS[sampler](model.process)
  mesh = parallel.make_mesh()
  grid = times.check_grid(model.process, model.process.grid(num_steps))
  data_shape = tuple(model.settings['shape'])

  @functools.partial(jax.jit, static_argnames='trajectory')
  def draw(params, key, index, label, scale, times, trajectory):
    key_prior, key_steps = jax.random.split(key)
    denoise = model.denoiser(params, as_cond(label))
    if guided:
      low, high = model.settings['guidance_log_snr']
      denoise = guidance.limited_interval(
          model.process, guidance.classifier_free(
              denoise, model.denoiser(params), scale),
          denoise, log_snr_low=low, log_snr_high=high)
    x = process.prior_sample(
        key_prior, model.process, (index.shape[0], *data_shape),
        model.settings['data_std'], index=index)
    sampled = samplers.sample(key_steps, method, denoise, x, times,
                              index=index, trajectory=trajectory)
    return sampled.states if trajectory else sampled.x

  def call(trajectory, params, key, index, label, scale):
    # Samples are independent: where the devices divide the batch, they share.
    index, label = parallel.split_batch((index, label), mesh)
    return draw(params, key, index, label, scale, grid, trajectory)

  return Generator(model, functools.partial(call, False),
                   functools.partial(call, True), grid, batch_size)


def default_generator(model: Model, batch_size: int = 100) -> Generator:
  """The run's own way to sample, as its settings say."""
  settings = model.settings
  return make_generator(
      model, sampler=settings['sampler'],
      num_steps=settings['sampling_steps'], guided=settings['guidance'] != 1,
      batch_size=batch_size)


def generate(
    generator: Generator, params: Params, key: Array, num_samples: int,
    label: np.ndarray | None, scale: float = 1.0
) -> np.ndarray:
  """Draws num_samples [N, ...] in batches; label [N] or None."""
  size = generator.batch_size
  parts = []
  for start in range(0, num_samples, size):
    index = np.arange(start, start + size)
    # A full last batch too, so that nothing is compiled twice.
    labels = None if label is None else jnp.asarray(
        label[index % num_samples], jnp.int32)
    parts.append(np.asarray(generator.draw(
        params, key, jnp.asarray(index), labels, scale)))
  return np.concatenate(parts)[:num_samples]


def define_sampling_flags() -> None:
  """Flags of every script that samples a trained run."""
  flags.DEFINE_enum('sampler', None, list(SAMPLERS), "method; the run's own "
                    'where absent')
  flags.DEFINE_integer('steps', None, 'of the method', lower_bound=2)
  flags.DEFINE_float('guidance', None, 'classifier-free guidance scale; 1 is '
                     'none', lower_bound=0.0)
  flags.register_validator('guidance', lambda v: v is None or np.isfinite(v),
                           'must be finite')
  flags.DEFINE_enum('weights', 'ema', ['ema', 'raw'], 'averaged or last')


def generator_from_flags(
    workdir: str, batch_size: int
) -> tuple[Generator, Params, dict[str, Any]]:
  """Sampler and parameters of the run in `workdir`, and the flags in force."""
  values = flags.FLAGS
  model, params, step = load_run(workdir, values.weights)
  settings = model.settings

  def chosen(flag, setting):
    value = values[flag].value
    return settings[setting] if value is None else value

  used = {'workdir': workdir, 'step': step, 'weights': values.weights,
          'seed': values.seed, 'sampler': chosen('sampler', 'sampler'),
          'steps': chosen('steps', 'sampling_steps'),
          'guidance': chosen('guidance', 'guidance')}
  generator = make_generator(
      model, sampler=used['sampler'], num_steps=used['steps'],
      guided=used['guidance'] != 1, batch_size=batch_size)
  return generator, params, used


def cycle_labels(model: Model, num_samples: int) -> np.ndarray | None:
  """Labels 0, 1, 2, ... in turn [num_samples]; None if unconditional."""
  num_classes = model.settings['num_classes']
  return None if num_classes is None else np.arange(num_samples) % num_classes


def load_run(workdir: str, weights: str = 'ema') -> tuple[Model, Params, int]:
  """The model, parameters and step of the run in `workdir`.

  Args:
    workdir: of train_diffusion.
    weights: 'ema' or 'raw'.

  Raises:
    ValueError: there is no run, or it has no checkpoint yet.
  """
  model = build_model(common.read_settings(workdir))
  state, step = training_run.restore(workdir, lambda: init_state(
      init_model(model.network.init(
          jax.random.key(0), jnp.zeros((1, *model.settings['shape'])),
          jnp.zeros(1))['params']),
      optimizer(model.settings), ['ema']), 'train_diffusion')
  params = state.averages['ema'] if weights == 'ema' else state.params
  return model, params, step
