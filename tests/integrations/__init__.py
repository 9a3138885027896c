"""Clients, proxies and other runtimes that are not ours, against the installed gateway; `make check-integrations`."""
