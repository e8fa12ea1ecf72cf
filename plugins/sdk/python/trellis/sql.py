"""SQL in the plugin's own database: SQLite when embedded, a PostgreSQL schema when distributed.

    from trellis import sql

    sql.execute("INSERT INTO notes (title) VALUES ($1)", "milk")
    for note in sql.query("SELECT id, title FROM notes WHERE title = $1", "milk"):
        print(note["id"], note["title"])

Parameters are `$1`, `$2` ... on both. `[needs.sql]` in plugin.toml names the migrations.
"""

from collections.abc import Iterable
from types import TracebackType
from typing import Any, overload

from trellis._errors import Error, Raising
from trellis._world import imported

__all__ = [
    "Conflict", "Constraint", "Finished", "Invalid", "Row", "SqlError", "TooLarge", "Transaction",
    "Unavailable", "Value", "batch", "dialect", "execute", "query", "transaction",
]  # fmt: skip

_wit = imported("trellis_storage_sql_0_1_0", "[needs.sql]")

#: A parameter, or a column of a row.
Value = None | bool | int | float | str | bytes


class SqlError(Error):
    """Why a statement had no effect."""


class Invalid(SqlError):
    """The database refused it: syntax, a missing table, a wrong type."""


class Constraint(SqlError):
    """A unique, foreign key, check or not-null constraint."""


class Conflict(SqlError):
    """Two transactions met; run the transaction again."""


class TooLarge(SqlError):
    """More than 100,000 rows or 16 MiB; ask for a page."""


class Unavailable(SqlError):
    """The database cannot be reached or is full; the same call may succeed later."""


class Finished(SqlError):
    """The transaction has already ended."""


_RAISING = Raising(
    SqlError,
    {kind.__name__: kind for kind in (Invalid, Constraint, Conflict, TooLarge, Unavailable, Finished)},
)


class Row(tuple[Any, ...]):
    """A row: its values in order, and by the names of their columns."""

    _columns: dict[str, int]

    def __new__(cls, values: Iterable[Any], columns: dict[str, int]) -> "Row":
        row = super().__new__(cls, values)
        row._columns = columns
        return row

    @overload  # type: ignore[override]
    def __getitem__(self, key: int | str) -> Any: ...
    @overload
    def __getitem__(self, key: slice) -> tuple[Any, ...]: ...
    def __getitem__(self, key: int | str | slice) -> Any:
        return super().__getitem__(self._columns[key] if isinstance(key, str) else key)

    def dict(self) -> dict[str, Any]:
        """The values by the names of their columns."""
        return dict(zip(self._columns, self, strict=True))


def dialect() -> str:
    """Which database stands behind: `sqlite` or `postgres`."""
    name: str = _wit.dialect().name
    return name.lower()


def query(sql: str, *params: Value) -> list[Row]:
    """Run one statement and collect its rows."""
    with _RAISING:
        return _rows(_wit.query(sql, _to_host(params)))


def execute(sql: str, *params: Value) -> int:
    """Run one statement; the number of rows it changed."""
    with _RAISING:
        changed: int = _wit.execute(sql, _to_host(params))
        return changed


def batch(statements: Iterable[tuple[Any, ...]]) -> list[int]:
    """Run statements, each `(sql, param, ...)`, in one transaction, all or none; the rows that
    each one changed. One round trip, so much cheaper than as many calls.

    Limits: 10,000 statements a call.
    """
    some = [_wit.Statement(sql, _to_host(params)) for sql, *params in statements]
    with _RAISING:
        changed: list[int] = _wit.batch(some)
        return changed


class Transaction:
    """A transaction over several calls: `with sql.transaction() as tx:`. It is committed at the end
    of the block, and rolled back by an exception."""

    def __init__(self) -> None:
        self._open: Any = None

    def __enter__(self) -> "Transaction":
        with _RAISING:
            self._open = _wit.Transaction.begin()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        opened, self._open = self._open, None
        # Leaving it without a commit rolls it back.
        with opened, _RAISING:
            if error is None:
                opened.commit()

    def query(self, sql: str, *params: Value) -> list[Row]:
        """Run one statement in it and collect its rows."""
        with _RAISING:
            return _rows(self._within().query(sql, _to_host(params)))

    def execute(self, sql: str, *params: Value) -> int:
        """Run one statement in it; the number of rows it changed."""
        with _RAISING:
            changed: int = self._within().execute(sql, _to_host(params))
            return changed

    def _within(self) -> Any:
        if self._open is None:
            raise Finished("the transaction has ended")
        return self._open


def transaction() -> Transaction:
    """A transaction for a `with` block. Transactions of a plugin run one after the other, so keep
    it short; until it ends `query`, `execute` and `batch` outside of it are Invalid."""
    return Transaction()


def _to_host(params: Iterable[Value]) -> list[Any]:
    return [_value(param) for param in params]


def _value(param: Value) -> Any:
    # A bool is an int, too.
    if isinstance(param, bool):
        return _wit.Value_Boolean(param)
    if param is None:
        return _wit.Value_Null()
    if isinstance(param, int):
        return _wit.Value_Integer(param)
    if isinstance(param, float):
        return _wit.Value_Real(param)
    if isinstance(param, str):
        return _wit.Value_Text(param)
    if isinstance(param, bytes):
        return _wit.Value_Blob(param)
    raise TypeError(f"a parameter of type {type(param).__name__} is none of {Value}")


def _rows(answer: Any) -> list[Row]:
    columns = {name: index for index, name in enumerate(answer.columns)}
    return [Row((getattr(value, "value", None) for value in row), columns) for row in answer.rows]
