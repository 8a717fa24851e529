"""Findings of `check`, and the rules that need no I/O."""
