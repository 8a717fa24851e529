"""Finds, tags and deletes orphaned resources."""
