"""The contract of a kind of model: what a file of this room must say of it.

A kind is one `Task`. `fit.fit_run` trains it, `open.open_run` opens what was
trained. Nothing else needs to know which kind a run is.
"""

from typing import Any, Callable, Mapping, NamedTuple, Protocol, Sequence

import optax

from genjax.training.averages import Decay
from genjax.training.logs import MetricsWriter
from genjax.training.loop import Hook
from genjax.types import Array
from genjax.types import Batch
from genjax.types import Cond
from genjax.types import Denoiser
from genjax.types import Key
from genjax.types import LossFn
from genjax.types import Params
from genjax.types import PyTree
from genjax.types import Shape
from genjax.types import Source


class TrainingSettings(Protocol):
  """The settings that a kind has if it is trained; see `fields`."""

  seed: int
  steps: int
  batch_size: int
  micro_batches: int
  steps_per_call: int
  parallel: str
  tensor_parallel: int
  log_every: int
  save_every: int
  keep_every: int
  profile_steps: str | None


class Data(Protocol):
  """A source to train on; what else a kind's hooks read is its own matter."""

  @property
  def train(self) -> Source:
    ...


class Sample(Protocol):
  """Draws [*shape, *event], given conditions [*shape, ...] where there are."""

  def __call__(
      self, key: Key, shape: Shape = (), cond: Cond | None = None
  ) -> Array:
    ...


class OfExamples(Protocol):
  """A function of arrays [B, ...], given conditions [B, ...] where there are.

  The label of a condition is int [B], or for codes float [B, K]: shares of the
  K classes, as of what lies between two. A kind may heed the two largest shares
  alone.
  """

  def __call__(self, x: Array, /, cond: Cond | None = None) -> Array:
    ...


class MakeDenoiser(Protocol):
  """The denoiser under a condition."""

  def __call__(self, cond: Cond | None = None) -> Denoiser:
    ...


class Functions(NamedTuple):
  """What a trained model can do; None for what its kind cannot."""

  sample: Sample | None = None
  # log p(x | cond) [B] in nats, of x [B, *event] as the model is given it.
  log_prob: OfExamples | None = None
  encode: OfExamples | None = None  # x [B, *event] -> codes [B, ...]
  decode: OfExamples | None = None  # the other way
  denoiser: MakeDenoiser | None = None
  # Logits [B, K] of the classes of x [B, *event].
  predict: Callable[[Array], Array] | None = None
  density: str | None = None  # what log_prob returns, in words


MakeFunctions = Callable[[Params], Functions]


class Model(NamedTuple):
  """A model without its params: all that sampling and scoring need."""

  # Params before the first step, compiled whole. The batch is the first of the
  # training data; None where only the shapes of the params are asked for, and
  # nothing is computed.
  init: Callable[[Key, Batch | None], Params]
  functions: MakeFunctions  # of params, which may be traced
  averages: Mapping[str, Decay]  # of the params, kept beside them, by name
  parts: Any = None  # what the kind's own loss, hooks and reports use


class Objective(NamedTuple):
  """What is minimised, and how."""

  loss_fn: LossFn
  tx: optax.GradientTransformation
  frozen: PyTree = {}  # what the loss looks at and no step changes
  flip: bool = False  # whether images are mirrored at random
  crop: int = 0  # pixels that images are moved by at random, at most
  augment: float = 0.0  # probability of each change that the model is told
  devices: int | None = None  # how many share a step; None is all
  init_from: str | None = None  # folder of a run whose weights it begins with
  best: str = 'test/loss'  # scalar of a hook that ranks the checkpoints
  # Folded into the keys of the run, where models of one seed are to differ.
  stream: tuple[int, ...] = ()


class Session(NamedTuple):
  """A training run, as its hooks see it."""

  settings: Any
  model: Model
  data: Any  # of `Data`, and what the kind needs beside it
  workdir: str
  writer: MetricsWriter


MakeHooks = Callable[[Session], Sequence[Hook]]


def no_hooks(session: Session) -> Sequence[Hook]:
  """Nothing."""
  del session
  return ()


class Task(NamedTuple):
  """A kind of model.

  `build` and `loss` raise ValueError for settings that do not fit each other.
  `build` may give a model again to who asks for the same settings again: what
  it has compiled is then not compiled twice.
  """

  kind: str  # its name in settings.json, and that of its file in this room
  Settings: type  # frozen dataclass, its fields declared by `setting`
  recipes: Mapping[str, Mapping[str, Any]]  # settings that go well together
  build: Callable[[Any], Model]  # of settings
  # How the model of settings is trained; not needed to open a run.
  loss: Callable[[Any, Model], Objective]
  hooks: MakeHooks = no_hooks  # what is done while training, and how often
  # Whether a run is opened at the step that `Objective.best` ranks first,
  # rather than at its last.
  opens_best: bool = False


class Run(NamedTuple):
  """A trained model; what its kind cannot is None, see `Functions`."""

  task: Task
  settings: Any
  params: Params
  step: int
  sample: Sample | None = None
  log_prob: OfExamples | None = None
  encode: OfExamples | None = None
  decode: OfExamples | None = None
  denoiser: MakeDenoiser | None = None
  predict: Callable[[Array], Array] | None = None
  density: str | None = None  # what log_prob returns, in words
