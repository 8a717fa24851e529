"""Gathers the facts of a report about all images: state, builds, uses, orphans and costs."""
