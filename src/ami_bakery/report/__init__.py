"""Gathers the facts of a report: states, builds, uses, orphans and costs."""
