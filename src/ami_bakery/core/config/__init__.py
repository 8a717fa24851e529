"""The model of bakery.toml: its keys, its values and their constraints."""
