"""Evaluates expressions of Packer templates without Packer: syntax, values, functions."""
