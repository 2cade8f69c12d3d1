"""The classical pipeline: features of a face, and a classifier on them that is no network."""
