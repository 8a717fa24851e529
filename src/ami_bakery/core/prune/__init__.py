"""Decides which finished AMIs are kept, disabled and deregistered."""
