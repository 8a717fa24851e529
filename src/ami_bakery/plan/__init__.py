"""Makes plans: actions and reasons, from digests and existing AMIs."""
