"""Decides which resources in EC2 are orphaned."""
