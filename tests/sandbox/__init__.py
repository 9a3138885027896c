"""The sandbox answers like itch.io, well and unwell."""
