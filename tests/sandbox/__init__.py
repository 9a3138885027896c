"""The sandbox: whether it answers like itch.io, well and unwell."""
