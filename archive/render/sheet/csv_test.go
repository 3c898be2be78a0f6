package sheet

import (
	"strings"
	"testing"

	"holdfast/archive/render"
)

func TestCSVGivesBackWhatWasSaid(t *testing.T) {
	items := hostile(t)
	var units []*render.Unit
	for i, s := range items {
		units = append(units, message(full(uint64(i), s)))
	}
	s := produce(t, CSV(), render.Options{Zone: newYork(t), Legend: "=CONFIDENTIAL"}, units...)
	rows := readBy(t, "read_csv.py", s.files["records.csv"].Bytes())
	if len(rows) != len(items) {
		t.Fatalf("%d rows, want %d", len(rows), len(items))
	}
	for i, item := range items {
		row, said := rows[i], broken(item)
		for _, name := range []string{"type", "message_id", "device_id", "from_usr", "from_upn", "from_mail", "from_name", "conversation_id", "conversation_kind",
			"conversation_name", "text", "lang", "priority", "mrn", "encounter", "status", "assurance", "device_key", "body"} {
			equal(t, row, name, said)
		}
		equal(t, row, "seq", number(uint64(i)))
		equal(t, row, "kind", "message")
		equal(t, row, "sent", "2026-03-08T12:30:15.250Z")
		equal(t, row, "relayed", "2026-03-08T12:30:16.250Z")
		equal(t, row, "received", "2026-03-08T12:30:17.250Z")
		equal(t, row, "sent_local", "2026-03-08T08:30:15.250-04:00")
		equal(t, row, "status_at", "2026-03-08T12:30:15.250Z")
		equal(t, row, "to_usr", said, "u2")
		equal(t, row, "to_mail", said, "")
		equal(t, row, "to_name", said, "Ana; Lopez")
		equal(t, row, "member_usr", said, "u3")
		equal(t, row, "member_name", said, "")
		equal(t, row, "born", "1951")
		equal(t, row, "target_seq", number(uint64(i)+1000))
		equal(t, row, "flags", said, "x")
		equal(t, row, "attachment_name", said, "x.PDF")
		equal(t, row, "attachment_type", said, "application/pdf")
		equal(t, row, "attachment_size", "7", "8")
		equal(t, row, "attachment_status", said, "pending")
		equal(t, row, "attachment_bates", "HF0000002", "")
		equal(t, row, "attachment_path", "natives/000000000001-1.bin", "")
		equal(t, row, "attachment_md5", "m", "")
		equal(t, row, "attachment_sha256", "s", "")
		equal(t, row, "leaf_hash", "00ff")
		equal(t, row, "custodians", said, "c2")
		equal(t, row, "holds", said)
		equal(t, row, "bates", "HF0000001")
		equal(t, row, "bates_end", "HF0000003")
		equal(t, row, "redacted", "yes")
		equal(t, row, "withheld", "")
		equal(t, row, "legend", "=CONFIDENTIAL")
		if len(row) != len(csvColumns) {
			t.Errorf("%d columns", len(row))
		}
	}
}

func TestCSVIsWhatItWas(t *testing.T) {
	e := render.Entry{Seq: 7, Kind: "message", Typ: "msg", Text: "=1+1, \"x\"\nsecond", Withheld: "", From: &render.Person{Usr: "u1"}}
	got := produce(t, CSV(), render.Options{}, message(e), message(render.Entry{Seq: 8, Kind: "relay", Withheld: "privileged"})).files["records.csv"].String()
	want := "\ufeff" + strings.Join(csvColumns, ",") + "\r\n" +
		`7,message,msg,,,,,,,u1,,,,,,,,,,,,"'=1+1, ""x""⏎second"` + strings.Repeat(",", 28) + "\r\n" +
		"8,relay" + strings.Repeat(",", 46) + "privileged,,\r\n"
	if got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestCSVHasARowForEachEntryOfAUnit(t *testing.T) {
	u := message(full(1, "x"))
	u.Entries = append(u.Entries, full(2, "y"), full(5, "z"))
	rows := readBy(t, "read_csv.py", produce(t, CSV(), render.Options{}, u).files["records.csv"].Bytes())
	if len(rows) != 3 || rows[0]["seq"] != "1" || rows[1]["text"] != "y" || rows[2]["seq"] != "5" {
		t.Errorf("%v", rows)
	}
}
