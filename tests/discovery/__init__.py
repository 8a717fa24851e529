"""Compares the files that the reader finds with those that the real Packer opens."""
