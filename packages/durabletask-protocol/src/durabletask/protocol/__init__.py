"""The Durable Task protocol: its messages, their bytes, and the procedures that carry them."""
