"""Link: bytes between pages, instances and shells: frames, streams, acks and what is kept of them."""
