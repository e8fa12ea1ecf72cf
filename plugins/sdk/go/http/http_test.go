package http

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"trellis/internal/packed"
)

// head is written as the host does.
func head(params, headers [][2]string) []byte {
	out := packed.U16([]byte{packed.Version, 3}, uint16(len(params)))
	out = packed.U64(packed.U32(out, uint32(len(headers))), 1_700_000_000_123)
	for _, field := range []string{"POST", "example.com", "/t/a%20b", "a=1&b=x+y", "::1", "id7"} {
		out = packed.Text(out, field)
	}
	for _, pair := range append(params, headers...) {
		out = packed.Text(packed.Text(out, pair[0]), pair[1])
	}
	return out
}

func whole() []byte {
	return head([][2]string{{"id", "7"}}, [][2]string{{"accept", "*/*"}, {"accept", "text/html"}})
}

func TestEveryPartOfARequestIsFound(t *testing.T) {
	r, err := Parse(whole(), []byte("k=v"))
	if err != nil {
		t.Fatal(err)
	}
	if r.Method != "POST" || r.Scheme != "https" || r.Host != "example.com" || r.Path != "/t/a%20b" {
		t.Fatalf("%+v", r)
	}
	if r.ClientIP != "::1" || r.ID != "id7" || r.Time.UnixMilli() != 1_700_000_000_123 {
		t.Fatalf("%+v", r)
	}
	if r.Param("id") != "7" || r.Param("x") != "" || r.Header("accept") != "*/*" {
		t.Fatalf("%+v", r)
	}
	if r.Query().Get("b") != "x y" || r.Form().Get("k") != "v" {
		t.Fatalf("%+v", r)
	}
}

func TestAHeadThatIsCutAnywhereIsRefused(t *testing.T) {
	all := whole()
	for cut := range all {
		if _, err := Parse(all[:cut], nil); err == nil {
			t.Fatalf("%d of %d bytes were taken", cut, len(all))
		}
	}
}

func TestAHugeCountIsRefusedWithoutAsMuchMemory(t *testing.T) {
	hostile := whole()
	copy(hostile[4:], "\xff\xff\xff\xff")
	allocated := testing.AllocsPerRun(1, func() {
		if _, err := Parse(hostile, nil); err == nil {
			t.Error("it was taken")
		}
	})
	if allocated > 20 {
		t.Fatalf("%v allocations", allocated)
	}
}

func FuzzForeignBytesNeverPanic(f *testing.F) {
	f.Add(whole())
	f.Fuzz(func(t *testing.T, head []byte) {
		if request, err := Parse(head, nil); err == nil && request.Header("accept") == "*" {
			t.Skip()
		}
	})
}

func serve(handler Handler) (status uint16, body string) {
	answer, text := handler.Serve(whole(), nil)
	r := packed.NewReader(answer)
	r.Version()
	r.U8("reserved")
	return r.U16("status"), string(text)
}

func TestAnErrorIsToldOnlyWhereItIsMeantForTheClient(t *testing.T) {
	status, body := serve(func(*Request) (*Response, error) { return nil, Status(404, "no such thing") })
	if status != 404 || body != "no such thing" {
		t.Fatal(status, body)
	}
	status, body = serve(func(*Request) (*Response, error) { return nil, errors.New("the password is x") })
	if status != 500 || strings.Contains(body, "password") {
		t.Fatal(status, body)
	}
}

func TestAPanicAndAMissingAnswerAre500(t *testing.T) {
	for _, handler := range []Handler{
		func(*Request) (*Response, error) { panic("broken") },
		func(*Request) (*Response, error) { return nil, nil },
		nil,
	} {
		if status, _ := serve(handler); status != 500 {
			t.Fatal(status)
		}
	}
}

func TestAnAnswerIsPackedInItsOrder(t *testing.T) {
	head, body := Text("hi").WithStatus(201).WithHeader("x-a", "b").Pack()
	r := packed.NewReader(head)
	r.Version()
	if r.U8("reserved") != 0 || r.U16("status") != 201 || r.U32("count") != 2 {
		t.Fatal(head)
	}
	if r.Text("name") != "content-type" || !strings.HasPrefix(r.Text("value"), "text/plain") || r.Text("name") != "x-a" {
		t.Fatal(head)
	}
	if !bytes.Equal(body, []byte("hi")) {
		t.Fatal(body)
	}
}
