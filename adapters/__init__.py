"""Providers, one folder each: they know HTTP and the vendor's words, and nothing of our stores."""
