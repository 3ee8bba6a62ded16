"""Everything that speaks gRPC or listens on a socket."""
