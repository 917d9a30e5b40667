"""Values: what processes say to each other, immutable and checked when decoded."""
