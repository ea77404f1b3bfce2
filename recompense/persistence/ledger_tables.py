"""The ledger's tables, for queries. The database guards them: see the first migration.

Rows are written by the ledger's repository and by the sealer only, and never through these classes'
sessions.
"""

from datetime import datetime

from sqlalchemy import BigInteger, DateTime, LargeBinary, SmallInteger, Text
from sqlalchemy.types import UserDefinedType
from sqlmodel import Field, SQLModel


class Xid8(UserDefinedType[str]):
    """PostgreSQL's 64-bit transaction id. psycopg hands it out as text."""

    cache_ok = True

    def get_col_spec(self, **_: object) -> str:
        """The type's name in SQL."""
        return "xid8"


class LedgerPosting(SQLModel, table=True):
    """The header of a posting. `created` is the transaction that made it, the only one that may add
    its transfers.
    """

    __tablename__ = "ledger_postings"

    id: int | None = Field(default=None, primary_key=True, sa_type=BigInteger)
    posting_key: str = Field(sa_type=Text, unique=True)
    operation_id: str = Field(sa_type=Text)
    payment_id: str | None = Field(default=None, sa_type=Text)
    lines: int = Field(sa_type=SmallInteger)
    created: str = Field(sa_type=Xid8)
    at: datetime = Field(sa_type=DateTime(timezone=True))


class LedgerTransfer(SQLModel, table=True):
    """One transfer of a posting: a debit and a credit of the same amount in minor units."""

    __tablename__ = "ledger_transfers"

    posting_id: int = Field(primary_key=True, sa_type=BigInteger)
    line: int = Field(primary_key=True, sa_type=SmallInteger)
    debit: str = Field(sa_type=Text)
    credit: str = Field(sa_type=Text)
    amount: int = Field(sa_type=BigInteger)
    currency: str = Field(sa_type=Text)
    phase: str = Field(sa_type=Text)
    resolves_key: str | None = Field(default=None, sa_type=Text)
    resolves_line: int | None = Field(default=None, sa_type=SmallInteger)
    created: str = Field(sa_type=Xid8)
    at: datetime = Field(sa_type=DateTime(timezone=True))


class LedgerHold(SQLModel, table=True):
    """How much of a hold has been posted, voided or expired; there is no row while nothing has."""

    __tablename__ = "ledger_holds"

    posting_id: int = Field(primary_key=True, sa_type=BigInteger)
    line: int = Field(primary_key=True, sa_type=SmallInteger)
    amount: int = Field(sa_type=BigInteger)
    resolved: int = Field(sa_type=BigInteger)


class LedgerFlooredBalance(SQLModel, table=True):
    """The running balance of a floored account, its holds taken off, and what of those is under way
    to a bank.
    """

    __tablename__ = "ledger_floored_balances"

    account: str = Field(primary_key=True, sa_type=Text)
    currency: str = Field(primary_key=True, sa_type=Text)
    balance: int = Field(default=0, sa_type=BigInteger)
    in_transit: int = Field(default=0, sa_type=BigInteger)
    floor: int = Field(default=0, sa_type=BigInteger)


class LedgerSnapshot(SQLModel, table=True):
    """An account's totals over all transfers of transactions before `through`; the latest of those
    was made `last_at`.
    """

    __tablename__ = "ledger_snapshots"

    account: str = Field(primary_key=True, sa_type=Text)
    currency: str = Field(primary_key=True, sa_type=Text)
    through: str = Field(primary_key=True, sa_type=Xid8)
    last_at: datetime = Field(sa_type=DateTime(timezone=True))
    debits_posted: int = Field(sa_type=BigInteger)
    credits_posted: int = Field(sa_type=BigInteger)
    debits_pending: int = Field(sa_type=BigInteger)
    credits_pending: int = Field(sa_type=BigInteger)


class LedgerSeal(SQLModel, table=True):
    """A link of the chain over all postings of transactions from `starts` up to, and without,
    `through`. What is given an id from `next_created` on, the seal's own, begins after
    `observed_at`.
    """

    __tablename__ = "ledger_seals"

    number: int = Field(primary_key=True, sa_type=BigInteger)
    starts: str = Field(sa_type=Xid8)
    through: str = Field(sa_type=Xid8)
    postings: int = Field(sa_type=BigInteger)
    last_at: datetime = Field(sa_type=DateTime(timezone=True))
    previous: bytes = Field(sa_type=LargeBinary)
    digest: bytes = Field(sa_type=LargeBinary)
    leaves: bytes = Field(sa_type=LargeBinary)
    next_created: str = Field(sa_type=Xid8)
    observed_at: datetime = Field(sa_type=DateTime(timezone=True))
