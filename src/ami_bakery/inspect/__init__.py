"""Inspects without building: the inventory of AMIs, and checks before a bake."""
