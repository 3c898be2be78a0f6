package daemon

import (
	"encoding/json"
	"os"
	"slices"
	"testing"

	"holdfast/archive"
	"holdfast/ingest/envelope"
	"holdfast/internal/adtest"
	"holdfast/internal/api"
	"holdfast/internal/config"
	"holdfast/internal/role"
)

const nightSchedule = `version = 1
name = "test"
otherwise = "general"

[[class]]
name = "general"
period = "7y"
trigger = "received"

[[class]]
name = "patient"
period = "10y"
trigger = "received"

[[class]]
name = "night"
period = "20y"
trigger = "received"

[[rule]]
name = "patients"
class = "patient"
conversation = ["patient"]
over = ["night-team"]

[[rule]]
name = "night-team"
class = "night"
sender = ["Night team"]
`

// Each message gets one class, by the schedule and the directory as they are
// when it comes; a receipt gets its message's, also of a message from before a
// start; whom the directory does not know is kept longest.
func TestClassesFollowScheduleAndDirectory(t *testing.T) {
	o := newOffice(t, func(c *config.Config) {
		c.Accounts[0].Roles = append(c.Accounts[0].Roles, role.RecordsManager)
	}, adtest.Person{Account: "nora", Name: "Nora", Mail: "nora@ward.invalid"}, adtest.Person{Account: "dan", Name: "Dan", Mail: "dan@ward.invalid"})
	_, err := o.ad.AddGroup("Night team", "nora")
	o.do(err)
	o.sync()
	o.set(`{"user":"nora","name":"Nora","mail":"nora@ward.invalid"}
{"user":"dan","name":"Dan","mail":"dan@ward.invalid"}
{"conv":"c1","kind":"group","name":"ward","members":["nora","dan"]}
{"conv":"c2","kind":"patient","name":"bed 12","members":["nora","dan"]}
{"id":"m0","time":"2026-03-02T06:00:00.000Z","from":"nora","in":"c1","text":"before there was a schedule"}
`)
	applied, err := o.client.ApplySchedule(t.Context(), api.ApplyScheduleRequest{Text: nightSchedule, Reason: "test"})
	o.do(err)
	o.until("the users' match", func() bool {
		m, err := o.client.Matches(t.Context())
		return err == nil && len(m.Matched) == 2
	})
	const again = `{"user":"nora","name":"Nora","mail":"nora@ward.invalid"}
{"user":"dan","name":"Dan","mail":"dan@ward.invalid"}
{"user":"eve","name":"Eve","mail":"eve@elsewhere.invalid"}
{"conv":"c1","kind":"group","name":"ward","members":["nora","dan","eve"]}
{"conv":"c2","kind":"patient","name":"bed 12","members":["nora","dan"]}
`
	o.set(again + `{"id":"m1","time":"2026-03-02T07:00:00.000Z","from":"nora","in":"c1","text":"of the night team"}
{"id":"m2","time":"2026-03-02T07:01:00.000Z","from":"dan","in":"c1","typ":"receipt","ref":"m1","status":"read"}
{"id":"m3","time":"2026-03-02T07:02:00.000Z","from":"dan","in":"c1","text":"of somebody else"}
{"id":"m4","time":"2026-03-02T07:03:00.000Z","from":"nora","in":"c2","text":"of a patient"}
{"id":"m5","time":"2026-03-02T07:04:00.000Z","from":"eve","in":"c1","text":"of a stranger"}
`)
	want := []struct{ class, rule string }{{"general", ""}, {"night", "night-team"}, {"night", "target"}, {"general", ""}, {"patient", "patients"}, {"night", "longest"}}
	o.classes(want, applied.Seq)

	o.stop()
	o.start()
	o.set(again + `{"id":"m6","time":"2026-03-02T08:00:00.000Z","from":"dan","in":"c1","typ":"reaction","ref":"m1","text":"+1"}
`)
	o.classes(append(want, struct{ class, rule string }{"night", "target"}), applied.Seq)
}

// set loads lines of a message set.
func (o *office) set(lines string) {
	o.t.Helper()
	path := o.path("set.jsonl")
	o.do(os.WriteFile(path, []byte(lines), 0o600))
	o.loadFile(path)
	o.acked()
}

// classes compares the classes of all messages, and what their notes say.
func (o *office) classes(want []struct{ class, rule string }, schedule uint64) {
	o.t.Helper()
	s, err := o.client.Status(o.t.Context())
	o.do(err)
	seqs := make([]uint64, s.Size)
	for i := range seqs {
		seqs[i] = uint64(i)
	}
	shown, err := o.client.Show(o.t.Context(), api.ShowRequest{Seqs: seqs, Reason: "test"})
	o.do(err)
	got := slices.DeleteFunc(shown.Entries, func(e api.Shown) bool { return e.Message == nil || e.Message.Typ == envelope.TypCheckpoint })
	if len(got) != len(want) {
		o.t.Fatalf("%d messages; want %d", len(got), len(want))
	}
	for i, w := range want {
		var note struct {
			Class *archive.ClassNote `json:"class"`
		}
		o.do(json.Unmarshal(got[i].Note, &note))
		if got[i].Class != w.class || note.Class == nil || note.Class.Rule != w.rule {
			o.t.Errorf("message %d: class %s, %s; want %v", i, got[i].Class, got[i].Note, w)
			continue
		}
		if judged := w.rule != "target" && i > 0; judged && (note.Class.Schedule != schedule || note.Class.Directory == 0) {
			o.t.Errorf("message %d: judged by %+v; want schedule %d", i, note.Class, schedule)
		}
	}
}
