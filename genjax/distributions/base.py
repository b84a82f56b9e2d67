"""What a distribution is: two pure functions of a params pytree."""

from typing import NamedTuple, Protocol

from genjax.types import Array
from genjax.types import Key
from genjax.types import Params
from genjax.types import Shape


class Sample(Protocol):
  """Draws x [*shape, *batch, *event]."""

  def __call__(self, key: Key, params: Params, shape: Shape = ()) -> Array:
    ...


class LogProb(Protocol):
  """log p(x | params) in nats, normalised: [*batch]."""

  def __call__(self, params: Params, x: Array) -> Array:
    ...


class Distribution(NamedTuple):
  """A family p(x | params), said as two pure functions.

  Params is a NamedTuple of arrays. No shape, no key and no Python number is
  stored here: the batch is what the arrays broadcast to, so `vmap` over params
  is a batch of distributions.
  """

  sample: Sample  # (key, params, shape=()) -> x [*shape, *batch, *event]
  log_prob: LogProb  # (params, x) -> [*batch], nats
  event_ndims: int = 0  # static rank of one event: a rank, never a shape
  density: str = 'exact'  # 'exact' | 'lower bound' | 'estimate'
