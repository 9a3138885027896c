"""Proofs of an address: id tokens of an issuer, and codes that were mailed."""
