"""The steps of the locking protocol, carried out for one bake."""
