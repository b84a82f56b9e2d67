"""Measures of how close samples are to data. Names say what they are."""
