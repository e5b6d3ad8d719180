"""Stages on disk or the hub: where they are, what their files hold, whether they fit, and loading them."""
