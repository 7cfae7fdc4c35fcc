"""Commands: what `python -m server` does, beside parsing its arguments."""
