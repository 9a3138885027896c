"""How much may be asked: of the store, and by each caller."""
