"""Side-by-side comparisons, run from the root of a checkout: ``python -m benchmarks.<name>``."""
