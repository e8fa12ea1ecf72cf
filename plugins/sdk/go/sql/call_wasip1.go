package sql

import (
	"fmt"

	"trellis/internal/abi/types"
	wit "trellis/internal/wit/trellis_storage_sql"
)

// Postgres tells whether PostgreSQL stands behind, and not SQLite.
func Postgres() bool { return wit.Dialect() == wit.DatabasePostgres }

// Query runs one statement and collects its rows.
func Query(sql string, params ...any) (Rows, error) {
	values, err := lower(params)
	if err != nil {
		return Rows{}, err
	}
	return rows(wit.Query(sql, values))
}

// Execute runs one statement; the number of rows it changed.
func Execute(sql string, params ...any) (uint64, error) {
	values, err := lower(params)
	if err != nil {
		return 0, err
	}
	return wit.Execute(sql, values).Answer(describe)
}

// Batch runs statements in one transaction, all or none, and in one round trip; the rows each one
// changed. Limits: 10,000 statements.
func Batch(statements []Statement) ([]uint64, error) {
	lowered := make([]wit.Statement, len(statements))
	for index, statement := range statements {
		values, err := lower(statement.Params)
		if err != nil {
			return nil, fmt.Errorf("statement %d: %w", index, err)
		}
		lowered[index] = wit.Statement{Sql: statement.SQL, Params: values}
	}
	return wit.Batch(lowered).Answer(describe)
}

// Transaction runs over several calls. What is not committed is rolled back, at the latest at the
// end of the call in which it began.
type Transaction struct {
	inner *wit.Transaction
	ended bool
}

// Begin opens a transaction, and waits for its turn.
func Begin() (*Transaction, error) {
	inner, err := wit.TransactionBegin().Answer(describe)
	if err != nil {
		return nil, err
	}
	return &Transaction{inner: inner}, nil
}

// Atomically runs work in a transaction, which is committed where it returns nil.
func Atomically(work func(*Transaction) error) error {
	transaction, err := Begin()
	if err != nil {
		return err
	}
	if err := work(transaction); err != nil {
		// What the work failed with tells more than that this failed as well.
		_ = transaction.Rollback()
		return err
	}
	return transaction.Commit()
}

// Query runs one statement and collects its rows.
func (t *Transaction) Query(sql string, params ...any) (Rows, error) {
	if t.ended {
		return Rows{}, ErrFinished
	}
	values, err := lower(params)
	if err != nil {
		return Rows{}, err
	}
	return rows(t.inner.Query(sql, values))
}

// Execute runs one statement; the number of rows it changed.
func (t *Transaction) Execute(sql string, params ...any) (uint64, error) {
	if t.ended {
		return 0, ErrFinished
	}
	values, err := lower(params)
	if err != nil {
		return 0, err
	}
	return t.inner.Execute(sql, values).Answer(describe)
}

// Commit makes its changes durable. It has ended, whatever the answer.
func (t *Transaction) Commit() error {
	return t.end((*wit.Transaction).Commit)
}

// Rollback forgets its changes. It has ended, whatever the answer. After Commit it does nothing and
// is ErrFinished, so that it may be deferred.
func (t *Transaction) Rollback() error {
	return t.end((*wit.Transaction).Rollback)
}

func (t *Transaction) end(how func(*wit.Transaction) types.Result[types.Unit, wit.Error]) error {
	if t.ended {
		return ErrFinished
	}
	t.ended = true
	defer t.inner.Drop()
	_, err := how(t.inner).Answer(describe)
	return err
}

func lower(params []any) ([]wit.Value, error) {
	values := make([]wit.Value, len(params))
	for index, param := range params {
		switch param := param.(type) {
		case nil:
			values[index] = wit.MakeValueNull()
		case bool:
			values[index] = wit.MakeValueBoolean(param)
		case int:
			values[index] = wit.MakeValueInteger(int64(param))
		case int32:
			values[index] = wit.MakeValueInteger(int64(param))
		case uint32:
			values[index] = wit.MakeValueInteger(int64(param))
		case int64:
			values[index] = wit.MakeValueInteger(param)
		case float64:
			values[index] = wit.MakeValueReal(param)
		case string:
			values[index] = wit.MakeValueText(param)
		case []byte:
			values[index] = wit.MakeValueBlob(param)
		default:
			return nil, fmt.Errorf("parameter $%d is a %T: %w", index+1, param, ErrInvalid)
		}
	}
	return values, nil
}

func rows(result types.Result[wit.Rows, wit.Error]) (Rows, error) {
	found, err := result.Answer(describe)
	if err != nil {
		return Rows{}, err
	}
	lifted := Rows{Columns: found.Columns, Values: make([][]any, len(found.Rows))}
	for index, row := range found.Rows {
		values := make([]any, len(row))
		for column, value := range row {
			values[column] = lift(value)
		}
		lifted.Values[index] = values
	}
	return lifted, nil
}

func lift(value wit.Value) any {
	switch value.Tag() {
	case wit.ValueBoolean:
		return value.Boolean()
	case wit.ValueInteger:
		return value.Integer()
	case wit.ValueReal:
		return value.Real()
	case wit.ValueText:
		return value.Text()
	case wit.ValueBlob:
		return value.Blob()
	default:
		return nil
	}
}

func describe(err wit.Error) error {
	switch err.Tag() {
	case wit.ErrorInvalid:
		return fmt.Errorf("%w: %s", ErrInvalid, err.Invalid())
	case wit.ErrorConstraint:
		return fmt.Errorf("%w: %s", ErrConstraint, err.Constraint())
	case wit.ErrorConflict:
		return ErrConflict
	case wit.ErrorTooLarge:
		return ErrTooLarge
	case wit.ErrorUnavailable:
		return fmt.Errorf("%w: %s", ErrUnavailable, err.Unavailable())
	default:
		return ErrFinished
	}
}
