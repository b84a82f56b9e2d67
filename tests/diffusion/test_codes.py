"""Codes along the probability-flow ODE, where they are known."""

import numpy as np

from genjax.diffusion import codes
from genjax.diffusion import process


def test_code_of_gaussian_data_is_known():
  """Under a perfect denoiser: x over the scale that it has at the low end.

  To the error of 64 steps of order two; back again, to twice that.
  """
  std, low = 0.7, 0.002
  flow = codes.make_flow(process.edm(low, 20.0), 64, data_std=std,
                         sigma_min=low, sigma_max=20.0)
  denoiser = lambda x, t: std**2 / (std**2 + t**2) * x
  x = np.float32([[0.5, -1], [1, 0.2]])
  code = flow.encode(denoiser, x)
  np.testing.assert_allclose(code, x / np.hypot(std, low), rtol=5e-3)
  np.testing.assert_allclose(flow.decode(denoiser, code), x, rtol=1e-2)
