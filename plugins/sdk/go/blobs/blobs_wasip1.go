// Package blobs keeps bytes under a key in a container of the plugin's own.
//
//	info, err := blobs.Put("covers", "1.png", png, "image/png")
//
// Needs the container in `[needs.blobs]` of the manifest. To a client, a blob is best sent by the
// host: see http.Blob.
package blobs

import (
	"errors"
	"fmt"
	"time"

	"trellis/internal/abi/types"
	wit "trellis/internal/wit/trellis_storage_blobs"
)

// What errors are told by with errors.Is; their texts say more.
var (
	ErrInvalid     = errors.New("the container, the key or the content type is none")
	ErrTooLarge    = errors.New("the blob is too large for one call")
	ErrFull        = errors.New("the blobs of the plugin take all the room they may")
	ErrUnavailable = errors.New("the blobs are unavailable")
)

// Info is what is known of a blob without reading it.
type Info struct {
	Size uint64
	// Another text after every change.
	ETag     string
	Modified time.Time
	// Empty where it was put without one.
	ContentType string
}

// Entry is a blob in a list.
type Entry struct {
	Key  string
	Info Info
}

// Put writes a blob over whatever is there; the content type may be empty. Limits: 16 MiB.
func Put(container, key string, body []byte, contentType string) (Info, error) {
	kind := types.None[string]()
	if contentType != "" {
		kind = types.Some(contentType)
	}
	found, err := wit.Put(container, key, body, kind).Answer(describe)
	return info(found), err
}

// Append adds to the end of a blob; where there is none one begins. Limits: 16 MiB a call.
func Append(container, key string, bytes []byte) (Info, error) {
	found, err := wit.Append(container, key, bytes).Answer(describe)
	return info(found), err
}

// Get returns a whole blob, and whether there is one. Limits: 16 MiB.
func Get(container, key string) ([]byte, Info, bool, error) {
	found, err := wit.Get(container, key).Answer(describe)
	blob, is := found.Get()
	return blob.Body, info(blob.Info), is, err
}

// Read returns bytes from an offset on, fewer at the end; and whether there is a blob. Limits: 1 MiB.
func Read(container, key string, offset uint64, length uint32) ([]byte, bool, error) {
	found, err := wit.Read(container, key, offset, length).Answer(describe)
	bytes, is := found.Get()
	return bytes, is, err
}

// Head returns what is known of a blob, and whether there is one.
func Head(container, key string) (Info, bool, error) {
	found, err := wit.Head(container, key).Answer(describe)
	known, is := found.Get()
	return info(known), is, err
}

// List returns the blobs whose keys begin with a prefix, behind the key after, at most 1,000; the
// first page is after "".
func List(container, prefix, after string, most uint32) ([]Entry, error) {
	from := types.None[string]()
	if after != "" {
		from = types.Some(after)
	}
	found, err := wit.List(container, prefix, from, most).Answer(describe)
	entries := make([]Entry, len(found))
	for index, entry := range found {
		entries[index] = Entry{entry.Key, info(entry.Info)}
	}
	return entries, err
}

// Delete removes a blob; a missing one is fine.
func Delete(container, key string) error {
	_, err := wit.Delete(container, key).Answer(describe)
	return err
}

// Copy writes what is under one key under another; whether there was anything.
func Copy(container, key, toContainer, toKey string) (Info, bool, error) {
	found, err := wit.Copy(container, key, toContainer, toKey).Answer(describe)
	known, is := found.Get()
	return info(known), is, err
}

func info(known wit.Info) Info {
	modified := time.UnixMilli(int64(known.ModifiedMs)).UTC()
	return Info{known.Size, known.Etag, modified, known.ContentType.Some()}
}

func describe(err wit.Error) error {
	switch err.Tag() {
	case wit.ErrorInvalid:
		return fmt.Errorf("%w: %s", ErrInvalid, err.Invalid())
	case wit.ErrorTooLarge:
		return fmt.Errorf("%w: %s", ErrTooLarge, err.TooLarge())
	case wit.ErrorFull:
		return fmt.Errorf("%w: %s", ErrFull, err.Full())
	default:
		return fmt.Errorf("%w: %s", ErrUnavailable, err.Unavailable())
	}
}
