"""Evaluation: predictions of a split, the figures and pictures that tell how good they are.

Everything here reads `Predictions` and none of it knows how a model works; what compares or
combines models takes several of them and has its place here too.
"""
