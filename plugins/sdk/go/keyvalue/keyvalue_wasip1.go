// Package keyvalue keeps keys and values in a named store.
//
//	store, err := keyvalue.Open("default")
//	defer store.Close()
//	visits, err := store.Increment("visits", 1)
//
// Needs the store in `[needs.keyvalue] stores` of the manifest.
package keyvalue

import (
	"errors"

	"trellis/internal/abi/types"
	"trellis/internal/wit/wasi_keyvalue_atomics"
	"trellis/internal/wit/wasi_keyvalue_batch"
	wit "trellis/internal/wit/wasi_keyvalue_store"
)

// What errors are told by with errors.Is.
var (
	ErrNoSuchStore  = errors.New("there is no such store")
	ErrAccessDenied = errors.New("the store was not granted")
)

// Store is an open store.
type Store struct{ bucket *wit.Bucket }

// Open opens a store by its name.
func Open(name string) (*Store, error) {
	bucket, err := wit.Open(name).Answer(describe)
	if err != nil {
		return nil, err
	}
	return &Store{bucket}, nil
}

// Close gives the store back; the collector does so in the end where this is left out.
func (s *Store) Close() { s.bucket.Drop() }

// Get returns the value of a key, and whether there is one.
func (s *Store) Get(key string) ([]byte, bool, error) {
	found, err := s.bucket.Get(key).Answer(describe)
	value, is := found.Get()
	return value, is, err
}

// Set writes a value over whatever was there.
func (s *Store) Set(key string, value []byte) error { return done(s.bucket.Set(key, value)) }

// GetMany returns the values of several keys in one call, without those that are not there.
func (s *Store) GetMany(keys ...string) (map[string][]byte, error) {
	pairs, err := wasi_keyvalue_batch.GetMany(s.bucket, keys).Answer(describe)
	found := make(map[string][]byte, len(pairs))
	for _, pair := range pairs {
		if pair, is := pair.Get(); is {
			found[pair.F0] = pair.F1
		}
	}
	return found, err
}

// SetMany writes several values in one call, all or none.
func (s *Store) SetMany(values map[string][]byte) error {
	pairs := make([]types.Tuple2[string, []byte], 0, len(values))
	for key, value := range values {
		pairs = append(pairs, types.Tuple2[string, []byte]{F0: key, F1: value})
	}
	return done(wasi_keyvalue_batch.SetMany(s.bucket, pairs))
}

// Delete removes a key; a missing one is fine.
func (s *Store) Delete(key string) error { return done(s.bucket.Delete(key)) }

// DeleteMany removes several keys in one call, all or none.
func (s *Store) DeleteMany(keys ...string) error {
	return done(wasi_keyvalue_batch.DeleteMany(s.bucket, keys))
}

// Exists tells whether there is such a key.
func (s *Store) Exists(key string) (bool, error) { return s.bucket.Exists(key).Answer(describe) }

// Keys are one page of keys, and the cursor of the next one; empty where it was the last. The
// first page has the cursor "".
func (s *Store) Keys(cursor string) (keys []string, next string, err error) {
	from := types.None[string]()
	if cursor != "" {
		from = types.Some(cursor)
	}
	page, err := s.bucket.ListKeys(from).Answer(describe)
	return page.Keys, page.Cursor.Some(), err
}

// Increment adds to a number and returns the sum; no other writer can come between.
func (s *Store) Increment(key string, by int64) (int64, error) {
	return wasi_keyvalue_atomics.Increment(s.bucket, key, by).Answer(describe)
}

// Update replaces a value by what change makes of it, which is asked again whenever somebody else
// wrote in between. It is told nil where there is no value.
func (s *Store) Update(key string, change func(value []byte) []byte) error {
	read, err := wasi_keyvalue_atomics.CasNew(s.bucket, key).Answer(describe)
	for err == nil {
		var current types.Option[[]byte]
		if current, err = read.Current().Answer(describe); err != nil {
			break
		}
		written := wasi_keyvalue_atomics.Swap(read, change(current.Some()))
		if !written.IsErr() {
			return nil
		}
		failed := written.Err()
		if failed.Tag() == wasi_keyvalue_atomics.CasErrorStoreError {
			return describe(failed.StoreError())
		}
		read = failed.CasFailed()
	}
	return err
}

func done(result types.Result[types.Unit, wit.Error]) error {
	_, err := result.Answer(describe)
	return err
}

func describe(err wit.Error) error {
	switch err.Tag() {
	case wit.ErrorNoSuchStore:
		return ErrNoSuchStore
	case wit.ErrorAccessDenied:
		return ErrAccessDenied
	default:
		return errors.New(err.Other())
	}
}
