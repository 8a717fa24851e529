"""The manifest of an image and its digest."""
