"""Fleet: what instances know of and send to each other, through Redis."""
