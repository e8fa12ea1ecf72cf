package producer

import (
	"testing"
	"time"

	"trellis/internal/packed"
)

func TestARecordIsPackedAsTheHostReadsIt(t *testing.T) {
	partition := uint32(3)
	records := []Record{
		{Topic: "raw", Value: []byte{}},
		{Topic: "raw", Key: []byte("k"), Partition: &partition, Time: time.UnixMilli(7),
			Headers: []Header{{"name", nil}}},
	}
	r := packed.NewReader(Pack(records))
	r.Version()
	r.Take(3, "reserved")
	if r.U32("count") != 2 {
		t.Fatal("there are two")
	}
	first := packed.NewReader(r.Bytes("record"))
	if first.U32("partition") != byKey || first.U64("time") != now || first.Text("topic") != "raw" {
		t.Fatal("what is not set is by the key and now")
	}
	if first.Optional("key") != nil || first.Optional("value") == nil || first.U32("headers") != 0 {
		t.Fatal("no key is null, an empty value is not")
	}
	second := packed.NewReader(r.Bytes("record"))
	if second.U32("partition") != 3 || second.U64("time") != 7 || second.Text("topic") != "raw" {
		t.Fatal("what is set is there")
	}
	if string(second.Optional("key")) != "k" || second.Optional("value") != nil || second.U32("headers") != 1 {
		t.Fatal("what is set is there")
	}
	if second.Text("name") != "name" || second.Optional("value") != nil || second.Err() != nil || r.Err() != nil {
		t.Fatal("a header may be null")
	}
}
