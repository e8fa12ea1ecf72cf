// Package cache keeps values that may be forgotten at any moment, each for a time.
//
//	page, err := cache.Remember("catalogue", time.Hour, render)
//
// Needs `[needs.cache]` in the manifest.
package cache

import (
	"errors"
	"fmt"
	"time"

	wit "trellis/internal/wit/trellis_storage_cache"
)

// What errors are told by with errors.Is.
var (
	ErrInvalid     = errors.New("this is beyond the limits of the cache")
	ErrUnavailable = errors.New("the cache is unavailable")
	ErrLost        = errors.New("the claim has ended")
)

// Get returns the value of a key, and whether there is one.
func Get(key string) ([]byte, bool, error) {
	found, err := wit.Get(key).Answer(describe)
	value, is := found.Get()
	return value, is, err
}

// Set writes a value for a time, from a millisecond to 30 days.
func Set(key string, value []byte, ttl time.Duration) error {
	_, err := wit.Set(key, value, ms(ttl)).Answer(describe)
	return err
}

// Add writes a value only where there is none; whether it was written.
func Add(key string, value []byte, ttl time.Duration) (bool, error) {
	return wit.Add(key, value, ms(ttl)).Answer(describe)
}

// Delete forgets a key; a missing one is fine.
func Delete(key string) error {
	_, err := wit.Delete(key).Answer(describe)
	return err
}

// How long others wait for one that computes a value.
const (
	lease = 10 * time.Second
	wait  = 5 * time.Second
)

// Remember returns the value of a key, or what compute makes, which is kept for a time. Of many
// callers at once, on all hosts, one computes and the others wait for it. A cache that is not
// available is an error before anything was computed, and none after.
func Remember(key string, ttl time.Duration, compute func() ([]byte, error)) ([]byte, error) {
	claimed, err := wit.ClaimTake(key, ms(lease), ms(wait)).Answer(describe)
	switch {
	case err != nil:
		return nil, err
	case claimed.Tag() == wit.ClaimedValue:
		return claimed.Value(), nil
	case claimed.Tag() == wit.ClaimedTaken:
		return compute()
	}
	claim := claimed.Yours()
	defer claim.Drop()
	value, err := compute()
	if err != nil {
		return nil, err
	}
	// A claim that was lost meanwhile leaves the value as good as it is.
	if _, err := claim.Fill(value, ms(ttl)).Answer(describe); errors.Is(err, ErrInvalid) {
		return nil, err
	}
	return value, nil
}

func ms(time time.Duration) uint64 { return uint64(max(time.Milliseconds(), 0)) }

func describe(err wit.Error) error {
	switch err.Tag() {
	case wit.ErrorInvalid:
		return fmt.Errorf("%w: %s", ErrInvalid, err.Invalid())
	case wit.ErrorUnavailable:
		return fmt.Errorf("%w: %s", ErrUnavailable, err.Unavailable())
	default:
		return ErrLost
	}
}
