"""What AWS tools agree on: the configuration file, profiles, plans, names of things."""
