"""What the package of one container holds."""
