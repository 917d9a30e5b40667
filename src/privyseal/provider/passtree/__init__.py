"""A store in a tree of files as pass(1) and gopass keep it."""
