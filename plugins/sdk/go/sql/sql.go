// Package sql is the plugin's own database. Parameters are `$1`, `$2` ... on all databases.
//
//	rows, err := sql.Query("SELECT name, age FROM people WHERE age > $1", 30)
//	for row := range rows.All() {
//		slog.Info("somebody", "name", row.Text("name"), "age", row.Int("age"))
//	}
//
// Parameters and columns are nil, bool, int64 (any integer as a parameter), float64, string and
// []byte. Needs `[needs.sql]` in the manifest.
package sql

import (
	"errors"
	"iter"
)

// What errors are told by with errors.Is; their texts say more.
var (
	// The database refused the statement: syntax, a missing table, a wrong type.
	ErrInvalid = errors.New("the statement is invalid")
	// A unique, foreign key, check or not-null constraint.
	ErrConstraint = errors.New("a constraint is violated")
	// Two transactions met; run the transaction again.
	ErrConflict = errors.New("another transaction came between")
	// More than 100,000 rows or 16 MiB.
	ErrTooLarge = errors.New("the result is too large: ask for a page")
	// The same call may succeed later.
	ErrUnavailable = errors.New("the database is unavailable")
	// The transaction has already ended.
	ErrFinished = errors.New("the transaction has ended")
)

// Statement is a statement with its parameters.
type Statement struct {
	SQL    string
	Params []any
}

// Do is a statement with its parameters.
func Do(sql string, params ...any) Statement { return Statement{sql, params} }

// Rows are the rows of a query.
type Rows struct {
	Columns []string
	Values  [][]any
}

// All walks over the rows.
func (r Rows) All() iter.Seq[Row] {
	return func(yield func(Row) bool) {
		for _, values := range r.Values {
			if !yield(Row{r.Columns, values}) {
				return
			}
		}
	}
}

// Row is one row of a query.
type Row struct {
	columns []string
	values  []any
}

// Get is a column; nil where it is null or there is none.
func (r Row) Get(column string) any {
	for index, name := range r.columns {
		if name == column && index < len(r.values) {
			return r.values[index]
		}
	}
	return nil
}

// Text is a column as text; empty where it is none.
func (r Row) Text(column string) string { return as[string](r.Get(column)) }

// Int is a column as an integer; 0 where it is none.
func (r Row) Int(column string) int64 { return as[int64](r.Get(column)) }

// Float is a column as a real number; 0 where it is none.
func (r Row) Float(column string) float64 { return as[float64](r.Get(column)) }

// Bool is a column as a truth; SQLite keeps it as 0 and 1.
func (r Row) Bool(column string) bool {
	return as[bool](r.Get(column)) || as[int64](r.Get(column)) != 0
}

// Blob is a column as bytes; nil where it is none.
func (r Row) Blob(column string) []byte { return as[[]byte](r.Get(column)) }

func as[T any](value any) T {
	is, _ := value.(T)
	return is
}
