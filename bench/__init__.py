"""Side-by-side benchmarks against peers, each with one command."""
