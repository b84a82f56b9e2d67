"""The arithmetic of a training step, and the most that its devices can do."""

import math
from typing import Any, Collection, Iterator, Mapping, NamedTuple

import jax
from jax.extend.core import jaxprs_in_params

from genjax import machine

# Published peaks of one device in FLOP/s, of dense matrices: in bfloat16, and
# in float32 as XLA multiplies it unless it is told otherwise, which is TF32 on
# NVIDIA since the A100 and one pass of bfloat16 on a TPU. Data sheets that
# count with sparsity give twice as much. By jax.Device.device_kind.
PEAKS: Mapping[str, Mapping[str, float]] = {
    # nvidia.com/en-us/data-center/a100: 312 and 156 TFLOPS.
    **dict.fromkeys(
        ('NVIDIA A100-SXM4-40GB', 'NVIDIA A100-SXM4-80GB',
         'NVIDIA A100-PCIE-40GB', 'NVIDIA A100-PCIE-80GB',
         'NVIDIA A100 80GB PCIe'),
        {'bfloat16': 312e12, 'float32': 156e12}),
    # NVIDIA H100 Tensor Core GPU Architecture, table 2: SXM 989.4 and 494.7,
    # PCIe 756 and 378; nvidia.com/en-us/data-center/h100: NVL, with sparsity,
    # 1,671 and 835.
    'NVIDIA H100 80GB HBM3': {'bfloat16': 989.4e12, 'float32': 494.7e12},
    'NVIDIA H100 PCIe': {'bfloat16': 756e12, 'float32': 378e12},
    'NVIDIA H100 NVL': {'bfloat16': 835.5e12, 'float32': 417.5e12},
    # nvidia.com/en-us/data-center/h200: as the H100 of the same form.
    'NVIDIA H200': {'bfloat16': 989.4e12, 'float32': 494.7e12},
    'NVIDIA H200 NVL': {'bfloat16': 835.5e12, 'float32': 417.5e12},
    # nvidia.com/en-us/data-center/l4: 242 and 120 TFLOPS with sparsity.
    'NVIDIA L4': {'bfloat16': 121e12, 'float32': 60e12},
    # nvidia.com/en-us/data-center/v100: 15.7 and 14; it has no bfloat16.
    'Tesla V100-SXM2-16GB': {'float32': 15.7e12},
    'Tesla V100-SXM2-32GB': {'float32': 15.7e12},
    'Tesla V100-PCIE-16GB': {'float32': 14e12},
    'Tesla V100-PCIE-32GB': {'float32': 14e12},
    # docs.cloud.google.com/tpu/docs/v3 to v6e, a chip: 123, 275, 197, 459, 918.
    # Of a v3 chip, jax shows the two cores as two devices.
    'TPU v3': dict.fromkeys(('bfloat16', 'float32'), 61.5e12),
    'TPU v4': dict.fromkeys(('bfloat16', 'float32'), 275e12),
    **dict.fromkeys(('TPU v5e', 'TPU v5 lite'), dict.fromkeys(
        ('bfloat16', 'float32'), 197e12)),
    **dict.fromkeys(('TPU v5p', 'TPU v5'), dict.fromkeys(
        ('bfloat16', 'float32'), 459e12)),
    **dict.fromkeys(('TPU v6e', 'TPU v6 lite'), dict.fromkeys(
        ('bfloat16', 'float32'), 918e12)),
}

_PRODUCTS = ('conv_general_dilated', 'dot_general')


class Program(NamedTuple):
  """A step, compiled but not run."""

  executable: jax.stages.Compiled
  jaxpr: Any  # of the step
  copies: int = 1  # of it that run at once: the devices under pmap


class Work(NamedTuple):
  """What a training step computes."""

  flop: float  # floating-point operations, over all devices
  peak: float | None  # FLOP/s that these can do at most, where it is known


def work_of(
    program: Program, num_devices: int, dtype: str, steps: int = 1
) -> Work | None:
  """The work of a step by XLA's own count; None where it tells none.

  XLA counts the program of one device, and the body of a loop once. Its count
  is multiplied by the ratio of the matrix products and convolutions with those
  in a `lax.scan` as often as they run to the same with each once; a
  `lax.while_loop`, whose length is not known, counts once. It is never less
  than these products: where devices exchange what they multiply, TPU's compiler
  makes loops of its own.

  Args:
    program: of the step.
    num_devices: on which it runs.
    dtype: 'float32' or 'bfloat16', in which the network multiplies.
    steps: that the program takes.
  """
  analysis = program.executable.cost_analysis() or {}
  flop = analysis.get('flops', 0.0)
  if not flop > 0:
    return None
  counted = [(_flop(equation), times)
             for equation, times in products(program.jaxpr)]
  once = program.copies * sum(flop for flop, _ in counted)
  repeated = program.copies * sum(flop * times for flop, times in counted)
  peak = PEAKS.get(machine.devices()[0].device_kind, {}).get(dtype)
  flop = max(flop * num_devices * (repeated / once if once else 1.0), repeated)
  return Work(flop / steps,
              None if peak is None else peak * num_devices)


def products(
    jaxpr: Any, *, without: Collection[str] = ()
) -> Iterator[tuple[Any, int]]:
  """Each matrix product and convolution, and how often scans run it.

  Args:
    jaxpr: of a program.
    without: names of primitives that are not looked into.

  Yields:
    (equation, number of times)
  """
  for equation in jaxpr.eqns:
    name = equation.primitive.name
    if name in _PRODUCTS:
      yield equation, 1
    elif name not in without:
      length = equation.params['length'] if name == 'scan' else 1
      for inner in jaxprs_in_params(equation.params):
        for found, times in products(inner, without=without):
          yield found, times * length


def _flop(equation: Any) -> int:
  """Operations of a product: two for each number of each sum."""
  left, right = (x.aval for x in equation.invars)
  out, numbers = equation.outvars[0].aval, equation.params['dimension_numbers']
  if equation.primitive.name == 'dot_general':
    summed = math.prod(left.shape[axis] for axis in numbers[0][0])
  else:
    summed = right.size // right.shape[numbers.rhs_spec[0]]
  return 2 * out.size * summed
