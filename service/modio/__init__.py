"""mod.io: its endpoints, its answers, and what they prove."""
