"""Benchmarks against named rivals: `make bench`."""
