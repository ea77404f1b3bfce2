"""The embedded stack: PostgreSQL, Temporal, sandbox, codec server, workers and API, supervised."""
