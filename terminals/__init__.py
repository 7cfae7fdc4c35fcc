"""The core: terminals, what feeds them and what watches them. Knows nothing of HTTP."""
