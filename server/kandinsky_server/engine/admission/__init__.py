"""Who is let in, and when its work would finish."""
