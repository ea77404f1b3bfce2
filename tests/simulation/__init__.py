"""Tier T2: the real workflow and activity code over models of the store, the provider and time."""
