"""Files on disk: the source tree, hashes, bakery.toml, and files written atomically."""
