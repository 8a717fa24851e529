"""Command line, output and plugins of Packer, as values."""
