"""Defines images: from configuration, template, files and source AMI to a digest."""
