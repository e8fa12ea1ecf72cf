package log

import (
	"log/slog"

	wit "trellis/internal/wit/wasi_logging_logging"
)

func write(level slog.Level, message string) { wit.Log(levelOf(level), "", message) }

func levelOf(level slog.Level) wit.Level {
	switch {
	case level >= slog.LevelError:
		return wit.LevelError
	case level >= slog.LevelWarn:
		return wit.LevelWarn
	case level >= slog.LevelInfo:
		return wit.LevelInfo
	case level >= slog.LevelDebug:
		return wit.LevelDebug
	default:
		return wit.LevelTrace
	}
}
