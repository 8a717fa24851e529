"""Decides what a report shows: states, changes, lineage and its layout."""
