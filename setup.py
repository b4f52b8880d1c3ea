"""For tools that look for this file, stdeb among them: everything is in setup.cfg."""

from setuptools import setup

setup()
