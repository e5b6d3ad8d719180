"""Attacks and bad weather, short forms: every one of them once got through. `make attack` runs the long forms."""
