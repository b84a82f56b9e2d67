"""The contract of a kind of model: what a file of this room must say of it.

A kind is one `Task`. `fit.fit_run` trains it, `open.open_run` opens what was
trained. Nothing else needs to know which kind a run is.
"""

from typing import Any, Mapping, NamedTuple, Protocol, Sequence

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

  @property
  def seed(self) -> int:
    ...

  @property
  def steps(self) -> int:
    ...

  @property
  def batch_size(self) -> int:
    ...

  @property
  def micro_batches(self) -> int:
    ...

  @property
  def parallel(self) -> str:
    ...

  @property
  def log_every(self) -> int:
    ...

  @property
  def save_every(self) -> int:
    ...


class Data(Protocol):
  """A source to train on; what else a kind's hooks read is its own matter."""

  @property
  def train(self) -> Source:
    ...


class Init(Protocol):
  """Params before the first step, compiled whole.

  `batch` is the first of the training data; None where only the shapes of the
  params are asked for, and nothing is computed.
  """

  def __call__(self, key: Key, batch: Batch | None) -> Params:
    ...


class Sample(Protocol):
  """Draws [*shape, *event], given conditions [*shape, ...] where there are."""

  def __call__(
      self, key: Key, shape: Shape = (), cond: Cond | None = None
  ) -> Array:
    ...


class LogProb(Protocol):
  """log p(x | cond) [B] in nats, of x [B, *event] as the model is given it."""

  def __call__(self, x: Array, cond: Cond | None = None) -> Array:
    ...


class Encode(Protocol):
  """Codes [B, ...] of x [B, *event], under conditions as `Decode` takes them.
  """

  def __call__(self, x: Array, cond: Cond | None = None) -> Array:
    ...


class Decode(Protocol):
  """x [B, *event] of codes [B, ...].

  The label of a condition is int [B], or float [B, K]: shares of the K classes,
  as of what lies between two. A kind may heed the two largest shares alone.
  """

  def __call__(self, z: Array, cond: Cond | None = None) -> Array:
    ...


class MakeDenoiser(Protocol):
  """The denoiser under a condition."""

  def __call__(self, cond: Cond | None = None) -> Denoiser:
    ...


class Predict(Protocol):
  """Logits [B, K] of the classes of x [B, *event]."""

  def __call__(self, x: Array) -> Array:
    ...


class Functions(NamedTuple):
  """What a trained model can do; None for what its kind cannot."""

  sample: Sample | None = None
  log_prob: LogProb | None = None
  encode: Encode | None = None
  decode: Decode | None = None
  denoiser: MakeDenoiser | None = None
  predict: Predict | None = None
  density: str | None = None  # what log_prob returns, in words


class MakeFunctions(Protocol):
  """What a model can do with these params, which may be traced."""

  def __call__(self, params: Params) -> Functions:
    ...


class Model(NamedTuple):
  """A model without its params: all that sampling and scoring need."""

  init: Init
  functions: MakeFunctions
  averages: Mapping[str, Decay]  # of the params, kept beside them, by name
  parts: Any = None  # what the kind's own loss, hooks and reports use


class Objective(NamedTuple):
  """What is minimised, and how."""

  loss_fn: LossFn
  tx: optax.GradientTransformation
  frozen: PyTree = {}  # what the loss looks at and no step changes
  flip: bool = False  # whether images are mirrored at random
  devices: int | None = None  # how many share a step; None is all
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


class Build(Protocol):
  """The model that settings describe.

  Raises:
    ValueError: settings that do not fit each other.
  """

  def __call__(self, settings: Any) -> Model:
    ...


class MakeObjective(Protocol):
  """How the model is trained; nothing of it is needed to open a run."""

  def __call__(self, settings: Any, model: Model) -> Objective:
    ...


class MakeHooks(Protocol):
  """What is done while training, and how often."""

  def __call__(self, session: Session) -> Sequence[Hook]:
    ...


def no_hooks(session: Session) -> Sequence[Hook]:
  """Nothing."""
  del session
  return ()


class Task(NamedTuple):
  """A kind of model."""

  kind: str  # its name in settings.json, and that of its file in this room
  Settings: type  # frozen dataclass, its fields declared by `setting`
  recipes: Mapping[str, Mapping[str, Any]]  # settings that go well together
  build: Build
  loss: MakeObjective
  hooks: MakeHooks = no_hooks
  # Whether a run is opened at the step that `Objective.best` ranks first,
  # rather than at its last.
  opens_best: bool = False


class Run(NamedTuple):
  """A trained model; functions are None where its kind has none."""

  task: Task
  settings: Any
  params: Params
  step: int
  sample: Sample | None = None
  log_prob: LogProb | None = None
  encode: Encode | None = None
  decode: Decode | None = None
  denoiser: MakeDenoiser | None = None
  predict: Predict | None = None
  density: str | None = None  # what log_prob returns, in words
