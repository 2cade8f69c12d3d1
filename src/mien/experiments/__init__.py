"""Many runs as one work: the paper's experiments, running them all, and the report."""
