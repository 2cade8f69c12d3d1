"""Data sets: readers of every form in which people have them, and the prepared cache."""
