"""The step loop: one thread that owns the device and steps lanes of trajectories."""
