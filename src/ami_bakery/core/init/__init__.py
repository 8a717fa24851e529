"""Proposes a `bakery.toml` for a repository of Packer templates."""
