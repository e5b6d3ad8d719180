"""`make attack`: what somebody hostile, broken or unlucky can do to a server, each at full length."""
