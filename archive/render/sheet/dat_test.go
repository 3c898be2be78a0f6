package sheet

import (
	"fmt"
	"strings"
	"testing"

	"holdfast/archive/render"
)

func TestDATGivesBackWhatWasSaid(t *testing.T) {
	items := hostile(t)
	var units []*render.Unit
	for i, s := range items {
		units = append(units, message(full(uint64(i), s)))
	}
	s := produce(t, DAT(), render.Options{Zone: newYork(t)}, units...)
	rows := readBy(t, "read_dat.py", s.files["loadfile.dat"].Bytes())
	if len(rows) != 3*len(items) {
		t.Fatalf("%d rows, want %d", len(rows), 3*len(items))
	}
	for i, item := range items {
		row, said := rows[3*i], broken(strip.Replace(item))
		for _, name := range []string{"SUBJECT", "CONVERSATION_ID", "CONVERSATION_TYPE", "MESSAGE_ID", "ASSURANCE", "CUSTODIAN"} {
			if name == "SUBJECT" && item == "" {
				continue // it stands for itself
			}
			equal(t, row, name, said)
		}
		who := render.Person{Usr: item, UPN: item, Mail: item, Name: item}
		address := " <" + who.Address() + ">"
		equal(t, row, "FROM", said+address)
		equal(t, row, "TO", said+address, "Ana; Lopez <u2@relay-user.invalid>")
		equal(t, row, "ALLCUSTODIANS", said, "c2")
		equal(t, row, "HOLD_NAMES", said)
		equal(t, row, "DATESENT", "2026-03-08")
		equal(t, row, "TIMESENT", "08:30:15")
		equal(t, row, "TIMEZONE", "America/New_York UTC-04:00")
		equal(t, row, "CHAIN_SEQ", number(uint64(i)))
		equal(t, row, "CHAIN_HASH", "00ff")
		equal(t, row, "TEXTPATH", "texts/000000000001.txt")
		file := rows[3*i+1]
		equal(t, file, "FILENAME", said)
		for _, sign := range []string{separator, quote, newline} {
			logged := strings.Contains(strings.Join(values(row["STRIPPED"]), ";"), fmt.Sprintf("CONVERSATION_NAME %U x%d", []rune(sign)[0], strings.Count(item, sign)))
			if logged != strings.Contains(item, sign) {
				t.Errorf("%q: the stripping of %q is logged: %v in %q", item, sign, logged, row["STRIPPED"])
			}
		}
	}
}

func values(list any) []string {
	var out []string
	for _, v := range list.([]any) {
		out = append(out, v.(string))
	}
	return out
}

func TestDATFieldsAreThoseAgreed(t *testing.T) {
	const agreed = `BEGDOC ENDDOC BEGATTACH ENDATTACH PARENTID CUSTODIAN ALLCUSTODIANS FROM TO SUBJECT DATESENT TIMESENT TIMEZONE CONVERSATION_ID CONVERSATION_NAME ` +
		`CONVERSATION_TYPE MESSAGE_ID EVENT_TYPE PARTICIPANTS CONTAINS_EDITED CONTAINS_DELETED FILENAME FILEEXT FILESIZE MD5HASH SHA256HASH NATIVEPATH TEXTPATH ` +
		`HOLD_NAMES CHAIN_SEQ CHAIN_HASH ASSURANCE STRIPPED`
	got := produce(t, DAT(), render.Options{}).files["loadfile.dat"].String()
	if want := "\ufeffþ" + strings.ReplaceAll(agreed, " ", "þ\x14þ") + "þ\r\n"; got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestDATFamilies(t *testing.T) {
	one := uint64(1)
	u := message(render.Entry{Seq: 1, Kind: "message", Typ: "msg", Bates: "HF0000001", BatesEnd: "HF0000003", Attachments: []render.Attachment{
		{Name: "a.Docx", Bates: "HF0000002", Path: "natives/000000000001-1.docx"}, {Name: "b.p\u202edf", Bates: "HF0000003"}}})
	u.Entries = append(u.Entries,
		render.Entry{Seq: 2, Kind: "message", Typ: "edit", Target: &one, Bates: "HF0000004"},
		render.Entry{Seq: 3, Kind: "message", Typ: "recall", Target: &one, Bates: "HF0000005"})
	alone := message(render.Entry{Seq: 9, Kind: "message", Typ: "msg"})
	alone.Entries[0].Attachments = []render.Attachment{{Name: "c"}}
	rows := readBy(t, "read_dat.py", produce(t, DAT(), render.Options{}, u, alone).files["loadfile.dat"].Bytes())
	var got []string
	for _, r := range rows {
		got = append(got, fmt.Sprint(r["BEGDOC"], " ", r["ENDDOC"], " ", r["BEGATTACH"], " ", r["ENDATTACH"], " <", r["PARENTID"], "> ", r["EVENT_TYPE"], " ", r["CONTAINS_EDITED"], r["CONTAINS_DELETED"], " ", r["FILEEXT"]))
	}
	want := []string{
		"HF0000001 HF0000001 HF0000001 HF0000005 <> msg YY ",
		"HF0000002 HF0000002 HF0000001 HF0000005 <HF0000001> attachment YY docx",
		"HF0000003 HF0000003 HF0000001 HF0000005 <HF0000001> attachment YY ",
		"HF0000004 HF0000004 HF0000001 HF0000005 <HF0000001> edit YY ",
		"HF0000005 HF0000005 HF0000001 HF0000005 <HF0000001> recall YY ",
		"000000000009 000000000009 000000000009 000000000009-1 <> msg NN ",
		"000000000009-1 000000000009-1 000000000009 000000000009-1 <000000000009> attachment NN ",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
