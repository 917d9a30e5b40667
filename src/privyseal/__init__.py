"""Privyseal keeps the secrets of a Linux machine and releases one only after a person saw who asks."""
