"""Screens: what a terminal shows, drawn by the screen helper, and its latest output."""
