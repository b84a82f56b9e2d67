"""Trains a variational autoencoder, and shows its codes and what they mean.

  python -m experiments.train_vae --workdir=runs/vae
  python -m experiments.train_vae --workdir=runs/plane --latents=2
  python -m experiments.train_vae --workdir=runs/binary --data=binarized_digits
  python -m experiments.train_vae --data=folder:/my/images --image_size=32 \
      --held_out=0.1 --workdir=runs/mine

Writes results.json, metrics.jsonl, checkpoints and figures. The same command
again goes on where the run was stopped.
"""

from typing import Any

from absl import flags

from experiments import app
from experiments import common
from experiments import flag_numbers
from experiments import training_run
from experiments import vae_report
from experiments import vae_run
from genjax.checks import check
from genjax.data import named
from genjax.vae import likelihoods

# A recipe a kind of data: the flags it sets, then what has no flag. That of
# digits was chosen on a validation part of their training set.
_IMAGES: dict[str, Any] = dict(
    data='digits', seed=0, image_size=None, held_out=0.0, parallel='jit',
    conditional=True, network='conv', width=[32, 64, 64], latents=64,
    likelihood='discretized_logistic', levels=256, scale='output',
    prior='normal', posterior='diagonal', objective='elbo',
    importance_samples=5, beta=1.0, free_bits=0.0, batch_size=64, steps=10_000,
    learning_rate=1e-3, log_every=100, save_every=1000, components=50,
    flow_layers=4, context=32, groups=8, warmup=100, weight_decay=0.1, b2=0.99,
    ema_decay=0.998)
_DIGITS: dict[str, Any] = dict(
    _IMAGES, network='mlp', width=[256, 256], latents=16, levels=17,
    scale='each', steps=2000, learning_rate=2e-3, save_every=500)
RECIPES = {
    'digits': _DIGITS,
    'binarized_digits': dict(_DIGITS, likelihood='bernoulli', levels=2),
}

# Where a flag names a network other than the recipe's.
_WIDTHS = {'mlp': [256, 256], 'conv': [32, 64]}

_FLAGS = ('data', 'image_size', 'held_out', 'batch_size', 'steps',
          'learning_rate', 'parallel', 'log_every', 'save_every', 'seed',
          'latents', 'network', 'width', 'likelihood', 'scale', 'prior',
          'posterior', 'objective', 'importance_samples', 'beta', 'free_bits',
          'conditional')


def define_flags() -> None:
  """The script's flags."""
  common.define_run_flags('where the run is kept; again to go on with it')
  common.define_training_flags()
  flags.DEFINE_integer('latents', None, 'length of a code', lower_bound=1)
  flags.DEFINE_enum('network', None, list(vae_run.NETWORKS),
                    'of encoder and decoder')
  flags.DEFINE_list('width', None, 'units of each layer of an mlp (256,256), '
                    'or channels of each level of a conv (32,64)')
  flags.DEFINE_enum('likelihood', None, list(vae_run.LIKELIHOODS),
                    'p(x | z) of a pixel; a gaussian is of dequantised ones')
  flags.DEFINE_enum('scale', None, list(likelihoods.SCALES), 'of the noise of '
                    'p(x | z), which is learned: one, one for each value of '
                    'an image, or an output of the decoder')
  flags.DEFINE_enum('prior', None, list(vae_run.PRIORS), 'p(z)')
  flags.DEFINE_enum('posterior', None, list(vae_run.POSTERIORS), 'q(z | x)')
  flags.DEFINE_enum('objective', None, list(vae_run.OBJECTIVES),
                    'bound that is raised')
  flags.DEFINE_integer('importance_samples', None, 'of iwae', lower_bound=1)
  flags.DEFINE_float('beta', None, 'weight of the KL in the elbo',
                     lower_bound=0)
  flags.DEFINE_float('free_bits', None, 'nats of KL of a dimension of the code '
                     'that the elbo is not charged for', lower_bound=0)
  for name in ('beta', 'free_bits'):
    flags.register_validator(name, lambda v: v is None or v < float('inf'),
                             'must be finite')
  flags.DEFINE_bool('conditional', None, 'use class labels where there are')


def settings_from_flags() -> tuple[dict[str, Any], named.Data]:
  """The run's settings: a recipe, the flags over it, and the data's facts."""
  return resolve({name: flags.FLAGS[name].value for name in _FLAGS})


def resolve(values: dict[str, Any]) -> tuple[dict[str, Any], named.Data]:
  """Settings (JSON values) and data of a recipe with `values` over it.

  Raises:
    ValueError: unreadable data, or a flag that does not go with them or with
      another.
  """
  chosen = {k: v for k, v in values.items() if v is not None}
  recipe = RECIPES.get(chosen.get('data', _DIGITS['data']), _IMAGES)
  settings = {**recipe, **chosen}
  if 'width' not in chosen and settings['network'] != recipe['network']:
    settings['width'] = _WIDTHS[settings['network']]
  settings['width'] = flag_numbers.counts('width', settings['width'], '16,32')
  other = {'elbo': ('importance_samples',), 'iwae': ('beta', 'free_bits')}
  for name in other[settings['objective']]:
    check(name not in chosen, name,
          f'must be absent for --objective={settings["objective"]}',
          chosen.get(name))
  check(settings['likelihood'] != 'bernoulli' or settings['levels'] == 2,
        'likelihood', 'must be another for pixels of more than two levels',
        settings['likelihood'])
  check(settings['likelihood'] != 'bernoulli' or 'scale' not in chosen,
        'scale', 'must be absent for --likelihood=bernoulli',
        chosen.get('scale'))

  data = named.open_data(
      settings['data'], image_size=settings['image_size'],
      held_out=settings['held_out'], seed=settings['seed'])
  description = data.description
  check(len(description.shape) == 3, 'data', 'must be images',
        f'{settings["data"]!r} of shape {description.shape}')
  settings['num_examples'] = description.size  # a folder's may change
  settings['shape'] = list(description.shape)
  settings['num_classes'] = (
      description.num_classes if settings['conditional'] else None)
  settings['class_names'] = list(description.class_names)
  return settings, data


def train(settings: dict[str, Any], data: named.Data, workdir: str) -> bool:
  """Trains to the last step; returns whether it got there.

  Writes checkpoints, metrics.jsonl and TensorBoard events to `workdir`, and
  goes on from what is there.

  Raises:
    ValueError: settings that do not fit each other, the data or the workdir.
  """
  return training_run.train(
      settings, data.train, workdir,
      state=vae_run.init_run(settings, data.train),
      tx=vae_run.optimizer(settings), loss_fn=vae_run.make_loss(settings),
      make_hooks=lambda writer: vae_report.hooks(settings, data))


def main() -> None:
  settings, data = settings_from_flags()
  workdir = flags.FLAGS.workdir
  if not train(settings, data, workdir):
    print(f'stopped: the same command goes on with {workdir}')
    raise SystemExit(130)
  print(vae_report.report(settings, data, workdir))


if __name__ == '__main__':
  define_flags()
  app.run(main)
