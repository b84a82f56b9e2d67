"""The vocabulary of every function contract: arrays, pytrees, protocols."""

from typing import Any, Mapping, NamedTuple, Protocol

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


# What a pipeline yields. `x` [B, ...] float32, in [-1, 1] for images; `label`
# [B] int32, absent for unlabelled data; `index` [B] int32, the position in the
# global batch, from which losses derive one random stream an example.
Batch = dict[str, Any]


class Source(Protocol):
  """A random-access data set, of the shape of `tfds.data_source` and grain.

  An item is `{'image': uint8 [H, W, C], 'label': int}` or `{'x': float32 [D],
  'label': int}`; `label` may be absent.
  """

  def __len__(self) -> int:
    ...

  def __getitem__(self, index: int) -> Mapping[str, Any]:
    ...


class LossFn(Protocol):
  """A scalar to be minimised, in nats unless it says otherwise."""

  def __call__(
      self, params: Params, key: Key, batch: Mapping[str, Array]
  ) -> tuple[Array, Metrics]:
    ...


class Apply(Protocol):
  """A network as a pure function, `Module.apply` of every diffusion network.

  `variables` is Flax's `{'params': ...}`, `x` [B, ...] the scaled noisy
  input, `log_snr` [B] the noise level, `label` [B] int32 or None; the label
  equal to the number of classes means "no class". Returns [B, ...] like `x`.
  """

  def __call__(
      self,
      variables: PyTree,
      x: Array,
      log_snr: Array,
      label: Array | None,
      *,
      train: bool = False,
      rngs: Mapping[str, Key] | None = None,
  ) -> Array:
    ...


class Denoiser(Protocol):
  """E[x_0 | x_t]: x [B, ...] and t, [] or [B], to [B, ...]."""

  def __call__(self, x: Array, t: Array) -> Array:
    ...
