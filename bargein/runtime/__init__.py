"""What threads need: pools, wake-ups, bounded queues, listeners. The only place with locks."""
