"""Programs that local commands run: which arguments name files that they read or write."""
