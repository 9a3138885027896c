"""Redis itself, whoever uses it: where it is, how it fails, when to leave it alone."""
