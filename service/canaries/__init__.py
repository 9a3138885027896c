"""Canaries: accounts whose ownership is known, which the store is asked about now and then; they decide nothing."""
