"""Model families: which stages, networks, batch keys and presets each has. One folder a family."""
