"""The object tree of the Secret Service, for the two programs that serve it: agent and provider."""
