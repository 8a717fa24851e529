"""The commands that change and list channels, and revoke AMIs."""
