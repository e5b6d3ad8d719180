"""How many replicas a load needs: the engine's own rules played forward on step times of a real server."""
