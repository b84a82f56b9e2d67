"""Neighbours by their distances, and what they vote for."""

import numpy as np

from genjax.metrics import closeness


def test_vote_takes_the_commonest():
  labels = np.array([[1, 1, 0], [2, 0, 0], [2, 1, 2], [3, 2, 1]])
  np.testing.assert_array_equal(closeness.vote(labels), [1, 0, 2, 1])
