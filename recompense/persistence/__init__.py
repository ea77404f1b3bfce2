"""PostgreSQL: tables, repositories and migrations. A repository works inside its caller's
transaction and never commits.
"""
