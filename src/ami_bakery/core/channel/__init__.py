"""Channels: names, versions and history of the SSM parameters that name AMIs."""
