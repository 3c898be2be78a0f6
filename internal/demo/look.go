package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

const reason = "demonstration"

// hits is what the demo reads of a search's answer.
type hits struct {
	Total       int    `json:"total"`
	Through     uint64 `json:"through_seq"`
	Unindexed   uint64 `json:"unindexed"`
	Quarantined uint64 `json:"quarantined"`
	Hits        []hit  `json:"hits"`
}

type hit struct {
	Seq          uint64 `json:"seq"`
	From         string `json:"from"`
	Conversation string `json:"conversation"`
	Text         string `json:"text"`
	Assurance    string `json:"assurance"`
	Attachments  []struct {
		Name   string `json:"name"`
		Status string `json:"status"`
	} `json:"attachments"`
}

// find searches and wants as many messages as a plain reading of the set found.
func (d *demo) find(ctx context.Context, query string, want int) (*hits, error) {
	var h hits
	if err := d.holdfast(ctx, &h, "search", query, "--reason", reason, "--limit", "1000"); err != nil {
		return nil, err
	}
	d.looks["search"]++
	if h.Total != want || len(h.Hits) != want || h.Unindexed != 0 || h.Quarantined != 0 {
		return nil, fmt.Errorf("search %q: total %d with %d hits, %d entries unindexed and %d quarantined; a plain reading of the set finds %d",
			query, h.Total, len(h.Hits), h.Unindexed, h.Quarantined, want)
	}
	for i := 1; i < len(h.Hits); i++ {
		if h.Hits[i].Seq >= h.Hits[i-1].Seq {
			return nil, fmt.Errorf("search %q: hits are not newest first", query)
		}
	}
	return &h, nil
}

func (d *demo) search(ctx context.Context) error {
	all, err := d.find(ctx, "sent>=2026-01-01", d.set.count(func(*message) bool { return true }))
	if err != nil {
		return err
	}
	var told []string
	for _, s := range []struct {
		language string
		words    []string
	}{
		{"English", []string{"potassium"}},
		{"Spanish", []string{"rehabilitación", "ambulatoria"}},
		{"Chinese", []string{"万", "古", "霉", "素"}},
	} {
		query := strings.Join(s.words, "")
		if s.language != "Chinese" {
			query = `"` + strings.Join(s.words, " ") + `"`
		}
		want := d.set.withPhrase(s.words...)
		if want == 0 {
			return fmt.Errorf("the set has no message with %q", query)
		}
		h, err := d.find(ctx, query, want)
		if err != nil {
			return err
		}
		for _, hit := range h.Hits {
			if !phraseIn(split(hit.Text), s.words) && len(hit.Attachments) == 0 {
				return fmt.Errorf("search %q: the hit at entry %d does not hold it", query, hit.Seq)
			}
		}
		d.found += h.Total
		told = append(told, fmt.Sprintf("%s in %s: %d", query, s.language, h.Total))
	}
	return d.say("Searched: %s, and %d messages since January; a plain count over the file gives the same. Each search was logged, with its reason, before it was answered.",
		strings.Join(told, ", "), all.Total)
}

func (d *demo) show(ctx context.Context) error {
	m, err := d.set.withAttachment()
	if err != nil {
		return err
	}
	h, err := d.find(ctx, `"`+m.Text+`"`, d.set.withPhrase(split(m.Text)...))
	if err != nil {
		return err
	}
	var shown struct {
		Entries []struct {
			Kind    string `json:"kind"`
			Message *hit   `json:"message"`
		} `json:"entries"`
	}
	if err := d.holdfast(ctx, &shown, "show", strconv.FormatUint(h.Hits[0].Seq, 10), "--reason", reason); err != nil {
		return err
	}
	d.looks["show"]++
	if len(shown.Entries) != 1 || shown.Entries[0].Message == nil || shown.Entries[0].Message.Text != m.Text {
		return fmt.Errorf("entry %d is not shown as it was sent", h.Hits[0].Seq)
	}
	got := shown.Entries[0].Message
	if len(got.Attachments) != len(m.Att) || got.Attachments[0].Name != m.Att[0].Name || got.Attachments[0].Status != "stored" {
		return fmt.Errorf("entry %d: its attachment is shown as %v, want %q, stored", h.Hits[0].Seq, got.Attachments, m.Att[0].Name)
	}
	return d.say("Showed entry %d: %q, from %s (%s), with the attachment %q.", got.Seq, got.Text, got.From, got.Assurance, m.Att[0].Name)
}

// exportedConversation is the conversation that is exported, by its id in the set.
const exportedConversation = "4w-bed12"

func (d *demo) export(ctx context.Context) error {
	name, known := d.set.conversations[exportedConversation]
	if !known {
		return fmt.Errorf("the set has no conversation %s", exportedConversation)
	}
	key, err := d.ask(ctx, 0, "holdfast", "--socket", d.path("socket"), "checkpoint", "--log-key")
	if err != nil {
		return err
	}
	if err := os.WriteFile(d.path("log.key"), key, 0o600); err != nil {
		return err
	}
	var done struct {
		Matched  int `json:"matched"`
		Produced int `json:"produced"`
		Withheld int `json:"withheld"`
	}
	err = d.holdfast(ctx, &done, "export", `conversation:"`+name+`"`, "--reason", reason, "--recipient", "County court", "--purpose", "subpoena", "--as", "jsonl", "--out", d.path("production"))
	if err != nil {
		return err
	}
	d.looks["export"]++
	messages, hanging := d.set.inConversation(exportedConversation), d.set.hangingIn(exportedConversation)
	want := messages + hanging
	if done.Matched != want || done.Produced != want || done.Withheld != 0 {
		return fmt.Errorf("of the %d entries of %q %d were matched, %d produced and %d withheld", want, name, done.Matched, done.Produced, done.Withheld)
	}
	d.exported = done.Produced
	files, err := d.countSums(ctx)
	if err != nil {
		return err
	}
	return d.say("Exported the conversation %q: %d messages and %d receipts as JSON lines, with a signed manifest, proofs and a list of custody; sha256sum agrees with all %d files.", name, messages, hanging, files)
}

// countSums has the machine's own sha256sum check the production.
func (d *demo) countSums(ctx context.Context) (int, error) {
	b, err := os.ReadFile(d.path("production/SHA256SUMS")) // #nosec G304 -- our own temporary directory
	if err != nil {
		return 0, err
	}
	if err := d.sha256sum(ctx); err != nil {
		return 0, err
	}
	return strings.Count(string(b), "\n"), nil
}

func (d *demo) audit(ctx context.Context) error {
	var list struct {
		Accesses []struct {
			Access struct {
				Action    string `json:"action"`
				Reason    string `json:"reason"`
				Principal struct {
					UID int `json:"uid"`
				} `json:"principal"`
			} `json:"access"`
			Outcome *struct {
				Result string `json:"result"`
			} `json:"outcome"`
		} `json:"accesses"`
	}
	if err := d.holdfast(ctx, &list, "audit", "--limit", "1000"); err != nil {
		return err
	}
	got := map[string]int{}
	for _, a := range list.Accesses {
		if a.Access.Action == "audit" { // this look itself, or not yet
			continue
		}
		if a.Access.Reason != reason || a.Access.Principal.UID != os.Getuid() || a.Outcome == nil {
			return fmt.Errorf("the audit lists %+v: not this user's, without the reason, or without an outcome", a)
		}
		got[a.Access.Action]++
	}
	for action, n := range d.looks {
		if got[action] != n {
			return fmt.Errorf("the audit lists %d accesses of kind %q, there were %d", got[action], action, n)
		}
	}
	return d.say("Asked who has looked: %d searches, %d show, %d exports, all by this user and with the reason given.", got["search"], got["show"], got["export"])
}

// exportedEntry reads which entry the first record of the production is, and
// its canonical leaf bytes, from the proofs.
func (d *demo) exportedEntry() (seq uint64, leaf string, err error) {
	b, err := os.ReadFile(filepath.Join(d.dir, "production", "proofs.json")) // #nosec G304 -- as above
	if err != nil {
		return 0, "", err
	}
	var proofs struct {
		Entries []struct {
			As   string `json:"as"`
			Seq  uint64 `json:"seq"`
			Leaf string `json:"leaf"`
		} `json:"entries"`
	}
	if err := json.Unmarshal(b, &proofs); err != nil {
		return 0, "", err
	}
	for _, e := range proofs.Entries {
		if e.As == "record" {
			return e.Seq, e.Leaf, nil
		}
	}
	return 0, "", fmt.Errorf("proofs.json has no record")
}
