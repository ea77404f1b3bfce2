"""Statements: what happened to money, for people and for spreadsheets."""
