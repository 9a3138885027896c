"""The newest versions of channels, which the store tells everyone. No decision rests on them."""
