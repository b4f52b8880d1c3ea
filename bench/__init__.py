"""Speeds of this project beside those of other ways to the same end."""
