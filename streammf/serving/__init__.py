"""What goes out: the protocol, queries over a read-only view of the model, the server and the clients."""
