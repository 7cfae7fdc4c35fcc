"""The scripts behind the Makefile: what must exist before the server can run, and its own checks.

Standard library only: all of it runs with Debian's python3, before any virtual environment exists.
Nothing here is imported by the server.
"""
