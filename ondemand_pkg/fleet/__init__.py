"""The on-demand services of many hosts."""
