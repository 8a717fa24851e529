"""One subcommand a module: from arguments and the outside to an answer and an exit status."""
