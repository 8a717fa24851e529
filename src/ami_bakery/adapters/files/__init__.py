"""Files on disk: source tree, hashes, bakery.toml and atomic writes."""
