"""The sandbox provider: a card processor and a bank rail in a process of its own.

It plays the vendor, so it shares nothing with the platform: no import, no database, no
configuration class. What it offers is HTTP: the vendor's API under `/v1`, webhooks out, and
`/_control`, where tests and demonstrations script its behaviour.
"""
