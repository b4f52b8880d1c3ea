"""Packages that start a container when its socket is first used."""

__version__ = "0.2.0"
