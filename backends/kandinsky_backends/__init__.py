"""Makes networks fast: the backend plugins, their registry and the parity gate."""
