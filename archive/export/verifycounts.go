package export

import (
	"encoding/csv"
	"errors"
	"io"

	"holdfast/archive/render"
)

// counted is what the rows of a production come to, to be compared with what its
// manifest counts.
type counted struct {
	seqs     map[uint64]uint64 // 64 seqs a word: those that have a row
	redacted uint64
	contents uint64 // of attachments
	numbers  uint64 // Bates numbers given
}

// once notes that a seq has a row; false if it has one already.
func (c *counted) once(seq uint64) bool {
	if c.seqs == nil {
		c.seqs = map[uint64]uint64{}
	}
	bit := uint64(1) << (seq & 63)
	if c.seqs[seq>>6]&bit != 0 {
		return false
	}
	c.seqs[seq>>6] |= bit
	return true
}

// contentsOf counts the contents that were produced.
func (c *counted) contentsOf(all []content) {
	for i := range all {
		if all[i].SHA256 != "" {
			c.contents++
		}
	}
}

// errTwice is returned for a row of an entry that has one already.
var errTwice = errors.New("its entry has a row already")

// checkCounts compares what was counted with what the manifest states. Where
// something else is wrong already the counts follow from that and tell nothing.
// next is the Bates number after the last.
func (v *verifier) checkCounts(next uint64) {
	if v.ctx.Err() != nil || v.m == nil || v.m.V == 1 || len(v.v.Findings) > 0 {
		return
	}
	c := v.m.Counts
	for _, n := range []struct {
		stated, there uint64
		what          string
	}{
		{c.Unproven, v.v.Unproven, "rows without a proof"},
		{c.Redacted, v.got.redacted, "rows with covered text"},
		{c.Attachments, v.got.contents, "attachments"},
	} {
		if n.stated != n.there {
			v.v.file(fileManifest, Changed, "it counts %d %s, and %d are there", n.stated, n.what, n.there)
		}
	}
	if c.Hanging > c.Matched {
		v.v.file(fileManifest, Changed, "its counts contradict each other")
	}
	v.checkNumbers(next)
	v.checkLog(filePrivilege, sumOf(c.WithheldBy))
	v.checkLog(fileRedactions, c.Redacted)
}

// checkNumbers compares the range of Bates numbers with those that are there: a
// number that nothing has would be that of something left out.
func (v *verifier) checkNumbers(next uint64) {
	b := v.m.Bates
	if b == nil {
		if v.m.Numbers != nil {
			v.v.file(fileManifest, Changed, "it states Bates numbers, and there are none")
		}
		return
	}
	want := BatesRange{}
	if next > b.Start {
		want = BatesRange{First: b.format(b.Start), Last: b.format(next - 1)}
	}
	if v.m.Numbers == nil || *v.m.Numbers != want || v.got.numbers != next-b.Start {
		v.v.file(fileManifest, Changed, "the Bates numbers that it states are not those that are there, one after the other")
	}
}

// checkLog checks that a log has as many rows as the manifest counts entries. A
// patient's own package has no privilege log: its about.txt says how many are
// withheld.
func (v *verifier) checkLog(name string, want uint64) {
	f, ok := v.m.file(name)
	if _, patient := v.m.file(fileAbout); !ok && (want == 0 || patient && name == filePrivilege) {
		return
	}
	if !ok {
		v.v.file(name, Missing, "the manifest counts %d entries that should be in it", want)
		return
	}
	file, err := openRegular(v.fsys, name)
	if err != nil {
		v.v.file(name, problemOf(err), "it cannot be opened")
		return
	}
	defer file.Close()
	rows := csv.NewReader(io.LimitReader(file, int64(f.Size))) // #nosec G115 -- I-JSON integers are below 2^53
	rows.ReuseRecord = true
	var n uint64
	for v.ctx.Err() == nil {
		if _, err = rows.Read(); err != nil {
			break
		}
		n++
	}
	if !errors.Is(err, io.EOF) || n != want+1 || f.Seqs != want {
		v.v.file(name, Changed, "it does not have a row for each of %d entries that the manifest counts", want)
	}
}

// inPlace checks that an entry belongs into its unit: the entries of a unit
// ascend, and each that hangs at none is of its unit's conversation and day.
func (w *walk) inPlace(u *walkUnit, it *item) error {
	if n := len(u.made.items); n > 0 && u.made.items[n-1].row.Seq >= it.row.Seq {
		return errors.New("it is repeated in its unit, or out of order")
	}
	kind := render.UnitKind(w.v.m.Unit)
	if kind == render.Message || it.payload == nil || it.says.Target != nil {
		return nil
	}
	if kind == render.ConversationDay && dayName(dayOf(when(it), w.options.Zone)) != u.head.Day {
		return errors.New("it is of another day than its unit")
	}
	id := ""
	if c := it.row.Conversation; c != nil {
		id = c.ID
	}
	if u.placed && u.conversation != id {
		return errors.New("it is of another conversation than its unit")
	}
	u.placed, u.conversation = true, id
	return nil
}
