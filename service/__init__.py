"""The ownership gateway: does this player own the game on itch.io?

Read ``verification/verify.py`` first; the rest of the package exists so that it can be short.
"""
