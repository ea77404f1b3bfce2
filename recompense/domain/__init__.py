"""The words of the business: money, identifiers, states, effects and failures. No database, no
Temporal, no network.
"""
