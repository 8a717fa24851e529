"""Benchmarks: compares this program with other tools, and with the limits of the machine."""
