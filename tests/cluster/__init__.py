"""Several replicas in front of one Redis and one store."""
