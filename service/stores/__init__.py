"""Parts that the adapters of all stores need; none of them knows a store."""
