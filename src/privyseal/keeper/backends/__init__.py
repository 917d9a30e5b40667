"""Where secrets lie: one port and its implementations."""
