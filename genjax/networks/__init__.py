"""Flax networks of (x, log_snr, label); they know nothing of probability."""
