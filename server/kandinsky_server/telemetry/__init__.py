"""What the server tells of itself: metrics, traces, logs, and the call that they speak of."""
