"""Parts of benchmarks/kills.py: what is run, how it is killed, and what must hold afterwards."""
