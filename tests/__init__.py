"""The tests, and what they are made with: a clock to turn, and a real Redis to break."""
