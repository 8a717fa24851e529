"""Which resources in EC2 are orphaned."""
