"""A Secret Service provider over a store of ours, for the companion's private bus."""
