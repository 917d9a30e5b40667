"""Reads evidence about one process, given by pidfd, and answers it; nothing else.

This program may run as root, so it loads nothing but the standard library.
"""
