"""Renders the JSON document of a report as one self-contained HTML page."""
