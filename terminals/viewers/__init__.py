"""Viewers: who sees a terminal, and who of them may type."""
