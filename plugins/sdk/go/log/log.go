// Package log brings lines to the log of the host: log/slog and the standard library's log write
// there by themselves, each line with its level; what is printed comes as the line it is.
//
// The host adds the name of the plugin and the id of the request.
package log

import (
	"bytes"
	"context"
	"log/slog"
)

func init() { slog.SetDefault(slog.New(Handler{})) }

// Handler hands what log/slog is told to the host.
type Handler struct {
	// What WithAttrs and WithGroup were called with, in their order.
	with []func(slog.Handler) slog.Handler
}

// Enabled is always true: the operator says in the settings which lines are kept.
func (Handler) Enabled(context.Context, slog.Level) bool { return true }

// Handle writes one line: the message, and the attributes behind it.
func (h Handler) Handle(ctx context.Context, record slog.Record) error {
	var line bytes.Buffer
	var attributes slog.Handler = slog.NewTextHandler(&line, &slog.HandlerOptions{
		Level:       slog.Level(-1 << 10),
		ReplaceAttr: withoutTheHosts,
	})
	for _, with := range h.with {
		attributes = with(attributes)
	}
	if err := attributes.Handle(ctx, record); err != nil {
		return err
	}
	message := record.Message
	if rest := bytes.TrimSpace(line.Bytes()); len(rest) > 0 {
		message += " " + string(rest)
	}
	write(record.Level, message)
	return nil
}

// WithAttrs adds attributes to every line.
func (h Handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return h.and(func(inner slog.Handler) slog.Handler { return inner.WithAttrs(attrs) })
}

// WithGroup puts the attributes that come into a group.
func (h Handler) WithGroup(name string) slog.Handler {
	return h.and(func(inner slog.Handler) slog.Handler { return inner.WithGroup(name) })
}

func (h Handler) and(with func(slog.Handler) slog.Handler) Handler {
	return Handler{append(h.with[:len(h.with):len(h.with)], with)}
}

// withoutTheHosts leaves out what the host adds, and the message, which stands before.
func withoutTheHosts(groups []string, attr slog.Attr) slog.Attr {
	mine := len(groups) == 0 && (attr.Key == slog.TimeKey || attr.Key == slog.LevelKey || attr.Key == slog.MessageKey)
	if mine {
		return slog.Attr{}
	}
	return attr
}
