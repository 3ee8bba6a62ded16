"""Everything that speaks gRPC or opens a socket, except the server itself."""
