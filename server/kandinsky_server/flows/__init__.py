"""What each RPC does, without protobuf: requests become trajectories, their results become events."""
