"""Places where keys, sessions and tokens lie: one module for each kind."""
