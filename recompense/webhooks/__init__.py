"""Outbound webhooks: signing, targets, the schedule of tries, and the courier that delivers."""
