"""Kandinsky 2.2: its stages, networks, and what a backend needs to know of them."""
