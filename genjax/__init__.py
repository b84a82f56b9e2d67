"""genjax: functional generative modelling in JAX.

Everything that generates data is a distribution, and a distribution is two
pure functions, `sample` and `log_prob`. Import the rooms by name:

    from genjax.distributions import normal
    from genjax.diffusion import process, samplers

`import genjax` itself imports nothing.
"""

__version__ = '0.1.0'
