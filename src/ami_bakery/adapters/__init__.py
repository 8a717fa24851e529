"""Adapters to external systems: only these start programs or call AWS."""
