"""Text: tables, trees, suggestions, masking of secrets, removal of control characters."""
