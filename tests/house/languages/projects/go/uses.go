package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"trellis/blobs"
	"trellis/cache"
	"trellis/channels"
	"trellis/client"
	"trellis/config"
	"trellis/keyvalue"
	"trellis/mailbox"
	"trellis/metrics"
	"trellis/presence"
	"trellis/sql"
)

var uses = map[string]func() (string, error){
	"config":   useConfig,
	"keyvalue": useKeyvalue,
	"cache":    useCache,
	"blobs":    useBlobs,
	"sql":      useSQL,
	"presence": usePresence,
	"metrics":  useMetrics,
}

// must panics with what went wrong: then the answer is 500, and the log says why.
func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// text is the value of a key, or none.
func text(value []byte, is bool, err error) string {
	must(value, err)
	return said(value, is)
}

func useConfig() (string, error) {
	greeting, _ := config.Get("greeting")
	return greeting + " " + config.Or("missing", "none"), nil
}

func useKeyvalue() (string, error) {
	words := must(keyvalue.Open("words"))
	defer words.Close()
	first := text(words.Get("a"))
	err := words.Set("a", []byte("1"))
	change := func(value []byte) []byte {
		if string(value) == "1" {
			// Somebody else is faster.
			err = errors.Join(err, words.Set("a", []byte("2")))
		}
		return append(value, 'x')
	}
	err = errors.Join(err, words.Update("a", change))
	changed := text(words.Get("a"))
	must(words.Increment("n", 2))
	number := must(words.Increment("n", 3))
	keys, _, failed := words.Keys("")
	slices.Sort(keys)
	err = errors.Join(err, failed, words.Delete("a"))
	told := []string{first, changed, fmt.Sprint(number), strings.Join(keys, ","), text(words.Get("a"))}
	err = errors.Join(err, words.SetMany(map[string][]byte{"b": []byte("bee"), "c": []byte("sea")}))
	many := must(words.GetMany("b", "a", "c"))
	err = errors.Join(err, words.DeleteMany("b", "c"))
	told = append(told, string(many["b"])+string(many["c"]), text(words.Get("c")))
	return strings.Join(told, " "), err
}

func useCache() (string, error) {
	const ttl = time.Minute
	told := []string{text(cache.Get("a"))}
	err := cache.Set("a", []byte("one"), ttl)
	told = append(told, text(cache.Get("a")), fmt.Sprint(must(cache.Add("a", []byte("two"), ttl))))
	err = errors.Join(err, cache.Delete("a"))
	told = append(told, text(cache.Get("a")), fmt.Sprint(must(cache.Add("a", []byte("two"), ttl))))
	told = append(told, text(cache.Get("a")))
	for _, made := range []string{"made", "again"} {
		page := must(cache.Remember("page", ttl, func() ([]byte, error) { return []byte(made), nil }))
		told = append(told, string(page))
	}
	mine := must(cache.Remember("raced", ttl, func() ([]byte, error) {
		return []byte("mine"), cache.Set("raced", []byte("other"), ttl)
	}))
	told = append(told, string(mine), text(cache.Get("raced")))
	return strings.Join(told, " "), err
}

func useBlobs() (string, error) {
	must(blobs.Put("files", "a", []byte("one"), "text/plain"))
	must(blobs.Append("files", "a", []byte("two")))
	must(blobs.Put("files", "b", []byte("from the host"), "text/plain"))
	whole, _, _, err := blobs.Get("files", "a")
	part := text(blobs.Read("files", "a", 3, 9))
	var listed []string
	for _, entry := range must(blobs.List("files", "", "", 10)) {
		listed = append(listed, fmt.Sprintf("%s:%d", entry.Key, entry.Info.Size))
	}
	err = errors.Join(err, blobs.Delete("files", "a"))
	value, _, is, failed := blobs.Get("files", "a")
	told := []string{string(whole), part, strings.Join(listed, ","), said(value, is)}
	if _, err := blobs.Put("elsewhere", "a", nil, ""); errors.Is(err, blobs.ErrInvalid) {
		told = append(told, "invalid")
	}
	return strings.Join(told, " "), errors.Join(err, failed)
}

// querying is done by the database, and by a transaction.
type querying func(sql string, params ...any) (sql.Rows, error)

func count(query querying) int64 {
	for row := range must(query("SELECT count(*) AS n FROM notes")).All() {
		return row.Int("n")
	}
	return -1
}

func useSQL() (string, error) {
	const insert = "INSERT INTO notes VALUES ($1)"
	told := []any{must(sql.Execute(insert, "milk"))}
	refused := errors.New("not so")
	err := sql.Atomically(func(tx *sql.Transaction) error {
		must(tx.Execute(insert, "bread"))
		told = append(told, count(tx.Query))
		return refused
	})
	if !errors.Is(err, refused) {
		return "", err
	}
	told = append(told, count(sql.Query))
	tx := must(sql.Begin())
	must(tx.Execute(insert, "bread"))
	if err := tx.Commit(); err != nil {
		return "", err
	}
	// It may be deferred.
	if err := tx.Rollback(); !errors.Is(err, sql.ErrFinished) {
		return "", fmt.Errorf("rolled back what was committed: %w", err)
	}
	told = append(told, count(sql.Query))
	both := []sql.Statement{sql.Do(insert, "salt"), sql.Do(insert, "milk")}
	if _, err := sql.Batch(both); errors.Is(err, sql.ErrConstraint) {
		told = append(told, "constraint", count(sql.Query))
	}
	values := must(sql.Query("SELECT $1 AS a, $2 AS b, $3 AS c, $4 AS d, $5 AS e", -5, 1.5, "ü", []byte{0, 255}, nil))
	for row := range values.All() {
		told = append(told, row.Int("a"), row.Float("b"), row.Text("c"), fmt.Sprintf("%x", row.Blob("d")))
		if row.Get("e") == nil {
			told = append(told, "null")
		}
	}
	return strings.TrimSpace(fmt.Sprintln(told...)), nil
}

func shown() string {
	var told []string
	for _, it := range presence.Who("desk") {
		told = append(told, it.Key+":"+it.Meta)
	}
	if told == nil {
		return "nobody"
	}
	return strings.Join(told, ",")
}

func usePresence() (string, error) {
	box, err := mailbox.Open("box", time.Minute)
	err = errors.Join(err, channels.Join(box, "desk", channels.Next()))
	err = errors.Join(err, presence.Show(box, "desk", "ada", "away"))
	there := shown()
	presence.Hide(box, "desk")
	err = errors.Join(err, channels.Publish("desk", channels.Text("a note")))
	err = errors.Join(err, channels.Publish("desk", channels.Binary([]byte{0, 255})))
	tag, _ := channels.Tag(box)
	told := []any{tag, there, shown()}
	frames, _ := mailbox.Read(box, 9, time.Second)
	for _, frame := range frames {
		if text, is := channels.TextOf(frame); is {
			told = append(told, text)
		} else {
			told = append(told, fmt.Sprintf("%x", channels.BytesOf(frame)))
		}
	}
	told = append(told, channels.Listeners("desk"), len(channels.Kept("desk", 9)))
	return strings.TrimSpace(fmt.Sprintln(told...)), err
}

func useMetrics() (string, error) {
	metrics.Count("visits", 2, metrics.Label{Name: "who", Value: "ada"})
	metrics.Gauge("level", 1.5)
	metrics.Observe("took_seconds", 0.25)
	return "counted", nil
}

func ask(where string) (string, error) {
	here := client.Request{
		Method: "POST", URL: "http://" + where + "/echo",
		Headers: [][2]string{{"x-asked", "yes"}}, Body: []byte("ping"),
	}
	answers := client.SendAll(here, client.Request{URL: "http://elsewhere.invalid/"})
	if !errors.Is(answers[1].Err, client.ErrNotGranted) {
		return "it was granted", answers[1].Err
	}
	answer := must(answers[0].Response, answers[0].Err)
	again := must(client.Send(here)).Status
	return fmt.Sprintf("%d %s %s not granted %d", answer.Status, answer.Header("x-answer"), answer.Body, again), nil
}
