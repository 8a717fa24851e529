"""Renders plans, results and lists as text, JSON and Markdown; decides nothing."""
