// Package types has the shapes of WIT that Go has no word for. The generated bindings use them.
package types

// The tags of an Option.
const (
	OptionNone uint8 = iota
	OptionSome
)

// Option is a value or none.
type Option[T any] struct {
	tag   uint8
	value T
}

// None is no value.
func None[T any]() Option[T] { return Option[T]{} }

// Some is a value.
func Some[T any](value T) Option[T] { return Option[T]{OptionSome, value} }

// Tag tells which of the two it is.
func (o Option[T]) Tag() uint8 { return o.tag }

// Some returns the value, or the zero value where there is none.
func (o Option[T]) Some() T { return o.value }

// Get returns the value, and whether there is one.
func (o Option[T]) Get() (T, bool) { return o.value, o.tag == OptionSome }

// The tags of a Result.
const (
	ResultOk uint8 = iota
	ResultErr
)

// Result is an answer or an error.
type Result[T, E any] struct {
	tag uint8
	ok  T
	err E
}

// Ok is an answer.
func Ok[T, E any](value T) Result[T, E] { return Result[T, E]{tag: ResultOk, ok: value} }

// Err is an error.
func Err[T, E any](err E) Result[T, E] { return Result[T, E]{tag: ResultErr, err: err} }

// Tag tells which of the two it is.
func (r Result[T, E]) Tag() uint8 { return r.tag }

// Ok returns the answer, or the zero value of an error.
func (r Result[T, E]) Ok() T { return r.ok }

// Err returns the error, or the zero value of an answer.
func (r Result[T, E]) Err() E { return r.err }

// IsErr tells whether it is an error.
func (r Result[T, E]) IsErr() bool { return r.tag == ResultErr }

// Answer returns the answer, or the error as describe tells it in Go.
func (r Result[T, E]) Answer(describe func(E) error) (T, error) {
	if r.IsErr() {
		return r.ok, describe(r.err)
	}
	return r.ok, nil
}

// Unit is nothing.
type Unit struct{}

// Tuple2 is two values.
type Tuple2[A, B any] struct {
	F0 A
	F1 B
}
