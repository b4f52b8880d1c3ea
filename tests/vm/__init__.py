"""Tests in virtual machines; see docs/contributing.md."""
