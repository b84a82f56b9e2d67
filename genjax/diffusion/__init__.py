"""Diffusion models: noise process, prediction, loss, samplers, exact oracles.

One interface stands between networks and everything else, the denoiser:
(x, t) -> E[x_0 | x_t]. Import the modules by name.
"""
