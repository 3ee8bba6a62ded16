"""What operators need: metrics, logs, retention, purging and checking."""
