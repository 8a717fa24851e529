"""Inspects without building: the inventory of AMIs and the checks before a bake."""
