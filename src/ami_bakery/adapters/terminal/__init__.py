"""The terminal: progress, tables, prompts and signals."""
