package log

import (
	"io"
	"log/slog"
	"os"
	"strings"
	"testing"
)

func TestALineIsItsMessageAndItsAttributes(t *testing.T) {
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	before := os.Stderr
	os.Stderr = write
	slog.New(Handler{}).With("a", 1).WithGroup("g").Warn("it is late", "b", "x y")
	os.Stderr = before
	_ = write.Close()
	line, err := io.ReadAll(read)
	if err != nil || strings.TrimSpace(string(line)) != `WARN it is late a=1 g.b="x y"` {
		t.Fatalf("%q %v", line, err)
	}
}
