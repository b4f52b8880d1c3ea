"""Declarations held against rules, units held against systemd."""
