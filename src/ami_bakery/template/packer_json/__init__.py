"""Legacy JSON templates."""
