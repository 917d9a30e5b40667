"""The trusted display: screen, challenge and terminal."""
