"""Decides the states of images and builds in a report, and connects them to a lineage graph."""
