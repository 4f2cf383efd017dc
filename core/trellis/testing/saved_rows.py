"""Brings the rows of a PostgreSQL database back in milliseconds, while its tables still stand."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import sql

_TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename"
_SEQUENCES = """
    SELECT format('%I', sequencename), coalesce(last_value, start_value), last_value IS NOT NULL
    FROM pg_sequences WHERE schemaname = 'public'
"""
# A row of the catalogue has another xmin after every change of a table.
_CATALOGUE = """
    SELECT md5(string_agg(line, ' ' ORDER BY line)) FROM (
        SELECT concat(oid, ' ', xmin)
        FROM pg_class WHERE relnamespace = 'public'::regnamespace
        UNION ALL
        SELECT concat(attrelid, ' ', attnum, ' ', attribute.xmin)
        FROM pg_attribute attribute JOIN pg_class ON pg_class.oid = attrelid
        WHERE relnamespace = 'public'::regnamespace
        UNION ALL
        SELECT concat(oid, ' ', xmin)
        FROM pg_constraint WHERE connamespace = 'public'::regnamespace
    ) AS lines (line)
"""
# Whoever still holds a lock after its test would hold up the next one.
_OPTIONS = "-c lock_timeout=500 -c statement_timeout=10000"


class SavedRows:
    """The rows that a database held when this was made."""

    def __init__(self, url: str) -> None:
        self._url = url
        connection = self._connection = self._connect()
        self._catalogue = self._value(_CATALOGUE)
        self._sequences = connection.execute(_SEQUENCES).fetchall()
        tables = [sql.Identifier(name) for (name,) in connection.execute(_TABLES)]
        rows = ((table, self._copy_of(table)) for table in tables)
        self._rows = [(table, copy) for table, copy in rows if copy]
        # In one statement, so that rows may go before the rows that refer to them.
        deletions = [
            sql.SQL("{} AS (DELETE FROM {})").format(sql.Identifier(f"d{number}"), table)
            for number, table in enumerate(tables)
        ]
        self._delete = sql.SQL("WITH {} SELECT").format(sql.SQL(", ").join(deletions))

    def restored(self) -> bool:
        """Bring the rows back. False: the database has to be made anew, as nothing was changed."""
        if self._connection.closed:
            self._connection = self._connect()
        try:
            if self._value(_CATALOGUE) == self._catalogue:
                with self._connection.transaction():
                    self._write()
                return True
        except psycopg.Error:
            pass
        self.close()
        return False

    def close(self) -> None:
        """Let go of the database."""
        self._connection.close()

    def _connect(self) -> psycopg.Connection[Any]:
        return psycopg.connect(self._url, autocommit=True, options=_OPTIONS)

    def _value(self, query: str) -> Any:
        row = self._connection.execute(query.encode()).fetchone()
        return row and row[0]

    def _copy_of(self, table: sql.Identifier) -> bytes:
        with self._connection.cursor().copy(sql.SQL("COPY {} TO STDOUT").format(table)) as copy:
            return b"".join(copy)

    def _write(self) -> None:
        self._connection.execute(self._delete)
        for table, rows in self._rows:
            with self._connection.cursor().copy(
                sql.SQL("COPY {} FROM STDIN").format(table)
            ) as copy:
                copy.write(rows)
        for sequence in self._sequences:
            self._connection.execute("SELECT setval(%s, %s, %s)", sequence)
