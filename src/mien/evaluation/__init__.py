"""Evaluation: predictions, metrics, test-time augmentation and plots."""
