"""The expressions of Packer templates, as far as they can be worked out without Packer: syntax, values, evaluation."""
