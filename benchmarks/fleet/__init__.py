"""Several servers behind the real Envoy, with the files of deploy/envoy."""
