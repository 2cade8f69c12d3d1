"""Network architectures, one a file, and their registry."""
