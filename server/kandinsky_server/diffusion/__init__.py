"""Kandinsky 2.2 itself: checkpoints, trajectories, hints and image codecs."""
