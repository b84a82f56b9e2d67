"""Trained models by their folders: `open_run(workdir)` samples and scores."""

from genjax.runs.open import open_run

__all__ = ['open_run']
