"""The vocabulary of every function contract: arrays, pytrees, protocols."""

from typing import Any, Callable, Mapping, NamedTuple, Protocol

import jax

Array = jax.Array
Key = jax.Array
PyTree = Any
Params = Any
Shape = tuple[int, ...]


class Mean(NamedTuple):
  """A running mean, said as its two sums, so that means of means are exact.

  A loss reports a metric over a subset of a batch (a noise level, a class) as
  `Mean(total, count)`: subsets of unequal size then average correctly over
  steps and devices, and an empty subset weighs nothing.
  """

  total: Array | float  # sum over the subset
  # Size of the subset; hides tuple.count, which nobody needs of a mean.
  count: Array | float  # type: ignore[assignment]


Metrics = Mapping[str, Array | Mean]

# What is given beside an example, by name, each [B, ...]: 'label' int32 [B],
# 'vector' float32 [B, V], 'image' float32 [B, H, W, C]. Empty where nothing is.
# That of a conditional diffusion model also holds 'absent', bool [B]: where the
# model is not to be told the rest. 'augment' float32 [B, 9] tells how images
# were changed, see `data.augment`; it is never absent, and 0 where it is not
# said.
Cond = Mapping[str, Array]

# What a pipeline yields. `x` [B, ...] float32, in [-1, 1] for images; `cond`,
# see `Cond`; `index` [B] int32, the position in the global batch, from which
# losses derive one random stream an example; `mask` [B] of ones and zeros where
# some rows are filling.
Batch = dict[str, Any]


class Context(NamedTuple):
  """What a loss may look at beside params, and does not move."""

  step: Array | int = 0  # [] int32, batches seen before this one
  averages: Mapping[str, Params] = {}  # of params, by name
  frozen: PyTree = {}  # what is not trained: a teacher, statistics of the data


class Source(Protocol):
  """A random-access data set, of the shape of `tfds.data_source` and grain.

  An item is `{'image': uint8 [H, W, C], 'label': int}` or `{'x': float32 [D],
  'label': int}`; `label` may be absent, and `'vector': float32 [V]` beside it.
  Images and signals of more than 8 bits are 'x' too, [H, W, C] or [L, C], and
  have been scaled to [-1, 1].
  """

  def __len__(self) -> int:
    ...

  def __getitem__(self, index: int) -> Mapping[str, Any]:
    ...


class LossFn(Protocol):
  """A scalar to be minimised, in nats unless it says otherwise.

  A mean over the examples of the batch that its mask keeps.
  """

  def __call__(
      self, params: Params, key: Key, batch: Batch, context: Context
  ) -> tuple[Array, Metrics]:
    ...


class Apply(Protocol):
  """A network as a pure function, `Module.apply` of every diffusion network.

  `variables` is Flax's `{'params': ...}`, `x` [B, ...] the scaled noisy input,
  `noise` the noise level, [B], or two of them, [B, 2]; `cond` see `Cond`, None
  of an unconditional model. Returns [B, ...] like `x`.
  """

  def __call__(
      self,
      variables: PyTree,
      x: Array,
      noise: Array,
      cond: Cond | None,
      *,
      train: bool = False,
      rngs: Mapping[str, Key] | None = None,
  ) -> Array:
    ...


class Denoiser(Protocol):
  """E[x_0 | x_t]: x [B, ...] and t, [] or [B], to [B, ...]."""

  def __call__(self, x: Array, t: Array) -> Array:
    ...


class FlowMap(Protocol):
  """x_s of x_t: x [B, ...] at t, and t and s, [] or [B], to [B, ...]."""

  def __call__(self, x: Array, t: Array, s: Array) -> Array:
    ...


Schedule = Callable[[Array], Array]  # elementwise
Quantile = Callable[[Array], Array]  # u in (0, 1) [B] -> training times [B]
Grid = Callable[[int], Array]  # num_steps -> times [num_steps + 1], falling


class Process(NamedTuple):
  """A Gaussian noise process, said by its two schedules and their ratio.

  The schedules are elementwise in t and differentiable for t in (t_min, t_max).
  Those of `diffusion.process` take times of any dtype, whole numbers too, and
  give float32, or float64 of float64.
  """

  alpha: Schedule  # t -> signal scale
  sigma: Schedule  # t -> noise standard deviation
  log_snr: Schedule  # t -> log(alpha^2 / sigma^2), decreasing; closed form
  time: Schedule  # log_snr -> t, the inverse of log_snr
  t_min: float  # least noise; sigma may be 0 here
  t_max: float  # most noise; alpha may be 0 here
  ends_in_noise: bool  # whether alpha(t_max) is exactly 0
  times: Quantile  # of the training times, unless a loss is told others
  grid: Grid  # of sampling times, unless a sampler is told others
