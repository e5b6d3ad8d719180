"""Who may speak to this server, and over what: certificates and tokens, read from files that may change."""
