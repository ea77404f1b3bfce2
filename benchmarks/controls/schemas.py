"""The tables of the controls that have any."""

USUAL = """
CREATE SCHEMA usual;
CREATE TABLE usual.merchants (id text PRIMARY KEY, daily_limit bigint NOT NULL);
CREATE TABLE usual.payments (
    id text PRIMARY KEY, amount bigint NOT NULL, currency text NOT NULL, risk text NOT NULL,
    status text NOT NULL, created_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE usual.entries (
    payment_id text NOT NULL, account text NOT NULL, debit bigint NOT NULL, credit bigint NOT NULL,
    PRIMARY KEY (payment_id, account)
);
CREATE TABLE usual.events (
    payment_id text NOT NULL, type text NOT NULL, at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (payment_id, type)
);
INSERT INTO usual.merchants VALUES ('mer_demo', 100000000);
"""

PEER = """
CREATE TABLE payments (
    id text PRIMARY KEY, merchant_id text NOT NULL, amount bigint NOT NULL, currency text NOT NULL,
    status text NOT NULL, created_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE entries (
    payment_id text NOT NULL, account text NOT NULL, debit bigint NOT NULL, credit bigint NOT NULL,
    PRIMARY KEY (payment_id, account)
);
CREATE TABLE events (
    payment_id text NOT NULL, type text NOT NULL, at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (payment_id, type)
);
"""
