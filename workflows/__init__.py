"""Sagas: the order of business steps and nothing else.

Deterministic; one file for each lifecycle.
"""
