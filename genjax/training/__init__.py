"""Fitting any loss: it knows `LossFn` and pytrees, no model and no data."""
