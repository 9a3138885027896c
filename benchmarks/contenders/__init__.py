"""What the gateway is measured against; each is a server of its own, see `benchmarks.servers`."""
