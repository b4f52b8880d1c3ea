"""Declarations, written for other orchestrators."""
