"""Variational autoencoders: parts, model, objectives, the model as a law.

A posterior, a prior and a likelihood are distributions, and what a network's
outputs say of their params. Import the modules by name.
"""
