"""Declarations from what people already have: Compose files, Quadlet files, containers, images."""
