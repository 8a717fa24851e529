"""Formats for CI systems: annotations, job details, dotenv files, Terraform variables."""
