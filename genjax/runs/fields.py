"""Settings that several kinds of run have: one range and one help for each.

A kind declares those it has in its own Settings, with its own default:

    steps: int = fields.steps(2000)
"""

from typing import Any

from genjax.runs.settings import setting

_MANY = 10**9  # steps: two years of a hundred a second

DATA = (
    'Data: digits, binarized_digits, toy:<name>, folder:<path> or tfds:<name>. '
    'A folder holds PNG or JPEG files, one sub-folder a class if there are '
    'classes. Options of a toy set follow its name: '
    'toy:spirals,turns=2,noise=0.05,points=1000.')


def seed() -> Any:
  """Of everything random."""
  return setting(0, low=0, high=2**31 - 1, help='Seed of everything random.')


def data(default: str) -> Any:
  """What is trained on, by name."""
  return setting(default, lengths=(1, 4096), help=DATA)


def image_size() -> Any:
  """Side of the images of a folder."""
  return setting(None, low=1, high=4096, help='Side of the images of a folder '
                 'in pixels (default 32); a tfds set is resized to it.')


def held_out() -> Any:
  """Share of a folder to test with."""
  return setting(0.0, low=0, high=0.9, help='Share of the files of a folder '
                 'that are not trained on: its test data.')


def batch_size(default: int) -> Any:
  """Examples in a step."""
  return setting(default, low=1, high=2**20, help='Examples in a training '
                 'step, over all devices.')


def steps(default: int) -> Any:
  """Length of a run."""
  return setting(default, low=1, high=_MANY, free=True,
                 help='Length of the whole run in training steps.')


def log_every(default: int) -> Any:
  """Steps between lines of the logs."""
  return setting(default, low=1, high=_MANY, free=True,
                 help='Steps between two lines of the logs.')


def save_every(default: int) -> Any:
  """Steps between checkpoints."""
  return setting(default, low=1, high=_MANY, free=True, help='Steps between '
                 'two checkpoints, sample grids and test losses.')


def parallel() -> Any:
  """How devices share a step."""
  return setting('jit', choices=('jit', 'fsdp', 'pmap'), free=True,
                 help='How devices share a step: jit splits the batch, fsdp '
                 'the parameters too, pmap runs one program a device.')


def micro_batches() -> Any:
  """Parts of a batch."""
  return setting(1, low=1, high=4096, free=True, help='Parts of a batch whose '
                 'gradients are computed one after the other to save memory.')


def learning_rate(default: float) -> Any:
  """The peak."""
  return setting(default, above=0, high=100.0, help='Largest learning rate, '
                 'reached after the warm-up.')


def warmup(default: int) -> Any:
  """Steps of warm-up."""
  return setting(default, low=0, high=_MANY, help='Steps in which the learning '
                 'rate rises to its largest.')


def b2(default: float) -> Any:
  """Decay of the second moment."""
  return setting(default, low=0.0, high=0.999999, help='Decay of the second '
                 'moment of the gradient in Adam.')


def weight_decay(default: float) -> Any:
  """Decoupled decay of weights."""
  return setting(default, low=0.0, high=100.0, help='Decay of the weights per '
                 'unit of learning rate, as in AdamW.')


def ema_decay(default: float) -> Any:
  """Decay of the average of params."""
  return setting(default, low=0.0, high=1.0, help='Decay per step of the '
                 'moving average of the parameters that is sampled.')


def dropout(default: float) -> Any:
  """Share of units dropped."""
  return setting(default, low=0.0, high=0.99, help='Share of the units of the '
                 'network that are dropped in a training step.')


def width(default: tuple[int, ...]) -> Any:
  """Channels or units."""
  return setting(default, low=1, high=2**16, lengths=(0, 64), help='Channels '
                 'of each level of a convolutional network (16,32), or units '
                 'of the layers of another (128).')


def depth(default: int) -> Any:
  """Layers."""
  return setting(default, low=1, high=1024, help='Layers of the network, or '
                 'blocks of each of its levels.')


def conditional() -> Any:
  """Whether classes are told."""
  return setting(True, help='Whether the model is told the class of an '
                 'example, where there are classes.')


def shape(default: tuple[int, ...]) -> Any:
  """Of an example; a fact of the data."""
  return setting(default, low=1, high=2**20, lengths=(1, 4), help='Shape of an '
                 'example: height, width and channels, or coordinates.')


def class_names() -> Any:
  """In the order of labels; a fact of the data."""
  return setting((), lengths=(0, 10**6), distinct=True, help='Names of the '
                 'classes of the data in the order of their labels.')


def num_examples() -> Any:
  """For training; a fact of the data."""
  return setting(1, low=1, high=2**53, help='Number of examples for training.')


def data_std() -> Any:
  """Standard deviation; a fact of the data."""
  return setting(1.0, above=0, high=1e9, help='Standard deviation of the '
                 'training data, as the network is given them.')
