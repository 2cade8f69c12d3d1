"""Published weights: a catalog, fetching them, converting them, and loading them into a network."""
