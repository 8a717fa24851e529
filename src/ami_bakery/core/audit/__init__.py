"""Audits: compares what a build opened with the digest."""
