"""`privy aws`: one module a command, and what they share."""
