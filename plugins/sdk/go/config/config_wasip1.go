// Package config reads the settings of the plugin: `[config]` of the manifest under what the
// operator set. Only keys in `[needs.config] keys` are there.
package config

import (
	"log/slog"

	wit "trellis/internal/wit/wasi_config_store"
)

// Get is the value of a key, and whether there is one. A source that cannot be read is logged and
// counts as no value.
func Get(key string) (string, bool) {
	found := wit.Get(key)
	if found.IsErr() {
		slog.Error("the setting `" + key + "` could not be read")
		return "", false
	}
	return found.Ok().Get()
}

// Or is the value of a key, or another text where there is none.
func Or(key, other string) string {
	if value, is := Get(key); is {
		return value
	}
	return other
}
