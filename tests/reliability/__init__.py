"""What the gateway promises when everything around it fails, and variants that break each promise."""
