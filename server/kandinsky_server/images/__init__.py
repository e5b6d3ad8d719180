"""Pictures that come in: decoded by processes of their own, a few at a time, and bounded in bytes. No torch here."""
