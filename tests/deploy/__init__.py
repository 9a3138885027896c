"""Deployments, really built, started and asked."""
