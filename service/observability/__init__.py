"""Observability for operators: log lines and metrics."""
