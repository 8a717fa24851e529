"""Reads legacy JSON templates."""
