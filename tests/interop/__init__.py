"""What our SDK can do on each engine, and other SDKs on ours: the tables of `docs/engines.md`."""
