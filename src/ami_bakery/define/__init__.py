"""Computes the digests of images from configuration, templates, files and source AMIs."""
