package export

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"holdfast/archive/render"
)

// damage changes one thing of a production and says which file has to be named.
func damage(rnd *rand.Rand, whole fstest.MapFS, names []string) (changed fstest.MapFS, what, file string, at int) {
	changed = maps.Clone(whole)
	file = names[rnd.IntN(len(names))]
	f := *whole[file]
	f.Data = slices.Clone(f.Data)
	if len(f.Data) > 0 {
		at = rnd.IntN(len(f.Data))
	}
	switch kind := rnd.IntN(10); {
	case kind < 5 && len(f.Data) > 0:
		what = "byte changed"
		f.Data[at] ^= byte(1 + rnd.IntN(255))
	case kind == 5:
		what = "bytes inserted"
		f.Data = slices.Insert(f.Data, at, bytes.Repeat([]byte{'x'}, 1+rnd.IntN(40))...)
	case kind == 6 && len(f.Data) > 0:
		what = "bytes deleted"
		f.Data = slices.Delete(f.Data, at, min(len(f.Data), at+1+rnd.IntN(40)))
	case kind == 7:
		what = "file deleted"
		delete(changed, file)
		return changed, what, file, 0
	case kind == 8:
		what = "file renamed"
		delete(changed, file)
		changed[file+"x"] = &f
		return changed, what, file, 0
	default:
		what = "file added"
		file = fmt.Sprintf("notes-%d.txt", rnd.IntN(100))
	}
	changed[file] = &f
	return changed, what, file, at
}

// Hundreds of seeded changes, insertions, deletions and renames over files of
// every format: none is missed, and each is named by its file, and by the seq
// where the change is in a record that stands alone in it.
func TestEveryChangeOfEveryFormatIsNamed(t *testing.T) {
	w, f := town(t)
	key := w.logKey()
	missed, unnamed, total := 0, 0, 0
	rnd := rand.New(rand.NewPCG(5, 6))
	for _, format := range FormatNames() {
		n := formatChanges / len(FormatNames())
		if format == "pdf" { // which takes a hundred times as long as the others
			n /= 20
		}
		req := full(w, f, format)
		req.Redact = []Redaction{{Pattern: many, Reason: "third party"}}
		seq := uint64(7)
		req.Withhold = func(s uint64) (Withheld, bool) {
			return Withheld{Tag: "privileged", Basis: "attorney-client"}, s == seq
		}
		_, whole := produce(t, w, req)
		if v := verify(t, whole, key); !v.OK() {
			t.Fatalf("%s: %s: %v", format, v.Result, v.Findings)
		}
		names := slices.Sorted(maps.Keys(whole))
		for range n {
			changed, what, file, at := damage(rnd, whole, names)
			total++
			v := verify(t, changed, key)
			if v.Result != Failed && v.Result != NotProduction {
				missed++
				t.Errorf("%s: %s at %d of %s: %s", format, what, at, file, v.Result)
				continue
			}
			if !named(v, file, expectSeq(format, file, what)) {
				unnamed++
				t.Errorf("%s: %s at %d of %s is not named: %v", format, what, at, file, v.Findings)
			}
		}
	}
	if missed+unnamed > 0 {
		t.Errorf("of %d changes %d were missed, %d not named", total, missed, unnamed)
	}
}

// expectSeq returns the seq that a finding about the file has to have; 0: none.
func expectSeq(format, file, what string) uint64 {
	known, _ := formatOf(format)
	if len(known.Units) == 0 || known.Units[0] != render.Message || strings.HasSuffix(what, "renamed") || what == "file added" {
		return 0
	}
	if seq := seqOf(file); seq != nil && !strings.HasPrefix(file, "annex/") {
		return *seq
	}
	return 0
}

// named reports whether a finding names the file, or the other half of it.
func named(v *Verdict, file string, seq uint64) bool {
	return slices.ContainsFunc(v.Findings, func(f Finding) bool {
		base := strings.TrimSuffix(file, ".jws") + ".json"
		same := f.File == file || strings.HasSuffix(file, ".jws") && f.File == base
		return same && (seq == 0 || f.Seq != nil && *f.Seq == seq)
	})
}

// In a file that holds all records the one that was changed is named, and no
// other.
func TestTheChangedRecordIsNamed(t *testing.T) {
	w, f := town(t)
	key := w.logKey()
	rnd := rand.New(rand.NewPCG(7, 8))
	for format, file := range map[string]string{"csv": "records.csv", "dat": "loadfile.dat", "mbox": "messages.mbox", "jsonl": fileRecords} {
		req := full(w, f, format)
		req.Family = nil
		_, whole := produce(t, w, req)
		data := whole[file].Data
		ends := unitEnds(t, w, req, file, data)
		for range max(formatChanges/60, 2) {
			i := rnd.IntN(len(ends))
			from := ends[i].from
			at := from + rnd.IntN(ends[i].to-from)
			for what, edit := range map[string]func(b []byte) []byte{
				"changed":  func(b []byte) []byte { b[at] ^= byte(1 + rnd.IntN(255)); return b },
				"inserted": func(b []byte) []byte { return slices.Insert(b, at, 'x', 'y') },
				"cut":      func(b []byte) []byte { return slices.Delete(b, at, min(at+3, ends[i].to)) },
				"gone":     func(b []byte) []byte { return slices.Delete(b, from, ends[i].to) },
			} {
				changed := maps.Clone(whole)
				changed[file] = &fstest.MapFile{Data: edit(slices.Clone(data)), Mode: 0o644}
				v := verify(t, changed, key)
				if v.Result != Failed || !named(v, file, ends[i].seq) {
					t.Errorf("%s: seq %d %s at %d: %s %v", format, ends[i].seq, what, at-from, v.Result, v.Findings)
				}
				for _, f := range v.Findings {
					if f.File == file && f.Seq != nil && *f.Seq != ends[i].seq && format != JSONL {
						t.Errorf("%s: seq %d %s at %d: also %v", format, ends[i].seq, what, at-from, f)
					}
				}
			}
		}
	}
}

type place struct {
	seq      uint64
	from, to int
}

// unitEnds finds out where each record stands in the one file of a production,
// by leaving each out.
func unitEnds(t *testing.T, w *ward, req Request, file string, data []byte) []place {
	t.Helper()
	var out []place
	at := len(data)
	for seq := w.a.Size() - 1; seq > w.a.Size()-8; seq-- {
		some := req
		some.Seqs, some.Bates = all(seq), Bates{Prefix: "ACME-"}
		some.Last = 0
		_, files := produce(t, w, some)
		if n := len(files[file].Data); n < at {
			out = append(out, place{seq, n, at})
			at = n
		}
	}
	return out
}
