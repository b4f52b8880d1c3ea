"""Two packages or declarations and their difference."""
