"""The edge: HTTP, WebSocket, sign-in, commands. Composes the core; holds no behaviour of terminals."""
