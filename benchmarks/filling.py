"""Fills the tables: copies of one real payment, with all the rows that belong to it.

What belongs to a payment is read from the database, table by table, so the copies stay true when
the schema changes. Only identities differ between them: the payment's id wherever it stands, its
merchant, the keys that have to be unique. The ledger's triggers check every copy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import psycopg
from psycopg import sql

MERCHANTS = 100_000
CHUNK = 20_000
"""Payments of one transaction: the ledger is sealed in pieces that part no transaction."""

HOT_MERCHANT = "mer_demo"

_COLUMNS = """
SELECT c.table_name, c.column_name, c.data_type,
       c.is_identity = 'YES' AND c.identity_generation = 'ALWAYS' AS given,
       c.column_default IS NOT NULL AS has_default
FROM information_schema.columns c JOIN information_schema.tables t USING (table_schema, table_name)
WHERE c.table_schema = 'public' AND t.table_type = 'BASE TABLE'
ORDER BY c.table_name, c.ordinal_position
"""
_UNIQUE = """
SELECT c.relname, array_agg(a.attname)
FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY (i.indkey)
WHERE i.indisunique AND c.relnamespace = 'public'::regnamespace GROUP BY c.relname, i.indexrelid
"""
_AT_REST = """
SELECT NOT EXISTS (
    SELECT FROM ledger_postings
    WHERE created >= coalesce((SELECT max(through) FROM ledger_seals), '0'::xid8))
AND NOT EXISTS (
    SELECT FROM ledger_seals
    WHERE through > coalesce((SELECT max(through) FROM ledger_snapshots), '0'::xid8))
"""


@dataclass(frozen=True)
class Column:
    """A column of a table, and what it holds in the row that is copied."""

    name: str
    type: str
    given: bool
    has_default: bool
    value: str | None


@dataclass(frozen=True)
class Pattern:
    """One row that belongs to the payment: its table, its place, its columns."""

    table: str
    place: str
    columns: tuple[Column, ...]
    unique: tuple[tuple[str, ...], ...]


def patterns(connection: psycopg.Connection, payment_id: str) -> list[Pattern]:
    """Every row of every table that names the payment, and the transfers of its postings."""
    columns: dict[str, list[tuple[str, str, bool, bool]]] = {}
    for table, *column in connection.execute(_COLUMNS):
        columns.setdefault(table, []).append(tuple(column))
    unique: dict[str, list[tuple[str, ...]]] = {}
    for table, names in connection.execute(_UNIQUE):
        unique.setdefault(table, []).append(tuple(names))
    found = []
    for table, described in columns.items():
        for place, row in _rows_of(connection, table, payment_id):
            filled = tuple(
                Column(name, kind, given, default, row.get(name))
                for name, kind, given, default in described
            )
            found.append(Pattern(table, place, filled, tuple(unique.get(table, []))))
    # A posting comes before its transfers: their trigger looks for it.
    return sorted(found, key=lambda pattern: pattern.table)


def _rows_of(
    connection: psycopg.Connection, table: str, payment_id: str
) -> Iterator[tuple[str, dict[str, str | None]]]:
    condition = sql.SQL("strpos(to_jsonb(t)::text, %(id)s) > 0")
    if table == "ledger_transfers":
        condition = sql.SQL(
            "posting_id IN (SELECT id FROM ledger_postings WHERE payment_id = %(id)s)"
        )
    query = sql.SQL(
        "SELECT ctid::text, (SELECT jsonb_object_agg(key, value) FROM jsonb_each_text(to_jsonb(t)))"
        " FROM {} AS t WHERE {}"
    ).format(sql.Identifier(table), condition)
    yield from connection.execute(query, {"id": payment_id}).fetchall()


def insertion(pattern: Pattern, payment_id: str, first_posting: int) -> sql.Composed:
    """The statement that copies the row for the numbers from `%(first)s` to `%(last)s`."""
    kept = [column for column in pattern.columns if not column.given]
    names, values = [], []
    for column in kept:
        value = _copied(pattern, column, payment_id, first_posting)
        if value is not None:
            names.append(sql.Identifier(column.name))
            values.append(value)
    return sql.SQL(
        "INSERT INTO {table} ({names}) SELECT {values}"
        " FROM (SELECT * FROM {table} WHERE ctid = {place}::tid) AS t,"
        " generate_series(%(first)s::bigint, %(last)s::bigint) AS n"
    ).format(
        table=sql.Identifier(pattern.table),
        names=sql.SQL(", ").join(names),
        values=sql.SQL(", ").join(values),
        place=sql.Literal(pattern.place),
    )


def _copied(
    pattern: Pattern, column: Column, payment_id: str, first_posting: int
) -> sql.Composable | None:
    """What the column holds in a copy; None where the table's own default says it."""
    here = sql.SQL("t.{}").format(sql.Identifier(column.name))
    if column.type == "xid8":
        return None if column.has_default else sql.SQL("pg_current_xact_id()")
    if (pattern.table, column.name) in {
        ("ledger_postings", "id"),
        ("ledger_transfers", "posting_id"),
    }:
        return sql.SQL("{} + n").format(sql.Literal(first_posting))
    named = column.value is not None and (
        payment_id in column.value or HOT_MERCHANT in column.value
    )
    if named and column.type in {"text", "jsonb"}:
        replaced = sql.SQL("replace(replace({}::text, {}, {}), {}, {})").format(
            here, sql.Literal(payment_id), PAYMENT, sql.Literal(HOT_MERCHANT), MERCHANT
        )
        return sql.SQL("{}::{}").format(replaced, sql.SQL(column.type))
    if _has_to_differ(pattern, column, payment_id):
        if column.type == "bytea":
            return sql.SQL("sha256(convert_to({}, 'UTF8'))").format(PAYMENT)
        return sql.SQL("{} || n").format(here)
    return here


PAYMENT = sql.SQL("('pay_00' || lpad(n::text, 24, '0'))")
MERCHANT = sql.SQL(
    "(CASE WHEN mod(n, 2) = 0 THEN 'mer_demo' ELSE 'mer_' || lpad(mod(n, {})::text, 12, '0') END)"
).format(sql.Literal(MERCHANTS))


def _has_to_differ(pattern: Pattern, column: Column, payment_id: str) -> bool:
    """Whether a unique key leans on it: no other part of that key names the payment."""
    values = {one.name: one.value or "" for one in pattern.columns}
    given = {one.name for one in pattern.columns if one.given}
    return column.type in {"text", "bytea"} and any(
        column.name in key
        and not given.intersection(key)
        and not any(payment_id in values[name] for name in key)
        and all(values[name] for name in key)
        for key in pattern.unique
    )


def insertions(connection: psycopg.Connection, payment_id: str) -> list[sql.Composed]:
    """The statements that copy the payment, each for `%(first)s` to `%(last)s`.

    Ask once, before the tables grow: all of them are read. The payment has to be at rest.
    """
    # Postings of copies are numbered far above those that the ledger numbers itself.
    found = patterns(connection, payment_id)
    return [insertion(pattern, payment_id, 10**12) for pattern in found]


def fill_payments(
    connection: psycopg.Connection,
    statements: Sequence[sql.Composed],
    first: int,
    last: int,
    told: Callable[[int], None],
) -> None:
    """Copy the payment for each number from `first` to `last`; `told` hears how far it is.

    The connection is a superuser's: foreign keys are not checked again, for the rows that they
    name are copied with them.
    """
    connection.execute("SET session_replication_role = replica")
    connection.execute("SET synchronous_commit = off")
    for start in range(first, last + 1, CHUNK):
        with connection.transaction():
            numbers = {"first": start, "last": min(start + CHUNK - 1, last)}
            for statement in statements:
                connection.execute(statement, numbers)
        told(min(start + CHUNK - 1, last))
    connection.execute("RESET session_replication_role")


def fill_merchants(connection: psycopg.Connection, count: int = MERCHANTS) -> None:
    """Copy the demo merchant."""
    columns = [
        row[0]
        for row in connection.execute(
            "SELECT column_name FROM information_schema.columns"
            " WHERE table_schema = 'public' AND table_name = 'merchants' AND column_name <> 'id'"
        )
    ]
    names = sql.SQL(", ").join(map(sql.Identifier, columns))
    connection.execute(
        sql.SQL(
            "INSERT INTO merchants (id, {names}) SELECT 'mer_' || lpad(n::text, 12, '0'), {names}"
            " FROM (SELECT * FROM merchants WHERE id = {demo}) AS t,"
            " generate_series(0::bigint, {last}::bigint) AS n"
        ).format(names=names, demo=sql.Literal(HOT_MERCHANT), last=sql.Literal(count - 1))
    )


def is_at_rest(connection: psycopg.Connection) -> bool:
    """Whether all is sealed, and the newest snapshots are as of the newest seal."""
    row = connection.execute(_AT_REST).fetchone()
    return bool(row and row[0])
