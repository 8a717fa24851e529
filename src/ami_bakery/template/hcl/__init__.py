"""Reads HCL2 templates, in native syntax and in JSON."""
