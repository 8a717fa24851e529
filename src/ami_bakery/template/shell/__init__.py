"""Local commands: which files they read and write, found without running them."""
