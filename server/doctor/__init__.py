"""Doctor: `python -m server doctor` looks at everything that an operator can get wrong, and says what to mend.

A check is a small function of the file of what it looks at. It changes nothing, but for the trial container, which goes again.
"""
