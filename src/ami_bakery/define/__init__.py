"""Computes the digest of images from configuration, template, files and source AMI."""
