"""Orphaned resources: finds them, takes them over, deletes them."""
