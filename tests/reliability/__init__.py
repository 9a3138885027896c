"""The gateway's promises while everything around it fails, and broken variants that break each promise."""
