package render

// The types of messages that hang at another one and tell what became of it.
const (
	typEdit     = "edit"
	typRecall   = "recall"
	typReceipt  = "receipt"
	typReaction = "reaction"
)

// Family is an entry that stands for itself with the entries of the same unit
// that hang at it. Each list ascends by seq.
type Family struct {
	Head      *Entry
	Edits     []*Entry
	Recalls   []*Entry
	Receipts  []*Entry
	Reactions []*Entry
	Others    []*Entry // expiries, the relay's events and whatever else is about it
}

// Families sorts the entries of a unit, which ascend by seq, into families,
// ascending by their heads. Every entry is in exactly one, once. An entry whose
// target is not among entries is a head itself. What hangs at an edit hangs
// at the message that was edited. The families point into entries.
func Families(entries []Entry) []Family {
	at := make(map[uint64]int, len(entries))
	for i := range entries {
		at[entries[i].Seq] = i
	}
	target := func(i int) (int, bool) {
		if entries[i].Target == nil {
			return 0, false
		}
		j, ok := at[*entries[i].Target]
		return j, ok && j != i
	}
	// A target that stands later counts only if it hangs at nothing here: so
	// no ring of targets can come about, whatever the messages say.
	heads := make([]int, len(entries))
	for i := range entries {
		heads[i] = i
		j, ok := target(i)
		if !ok {
			continue
		}
		if j < i {
			heads[i] = heads[j]
		} else if _, hangs := target(j); !hangs {
			heads[i] = j
		}
	}
	place := make(map[int]int, len(entries))
	var families []Family
	for i, head := range heads {
		if i == head {
			place[i] = len(families)
			families = append(families, Family{Head: &entries[i]})
		}
	}
	for i, head := range heads {
		if i != head {
			families[place[head]].add(&entries[i])
		}
	}
	return families
}

// add puts an entry that hangs at the head where its type belongs.
func (f *Family) add(e *Entry) {
	list := &f.Others
	if e.Kind == "message" {
		switch e.Typ {
		case typEdit:
			list = &f.Edits
		case typRecall:
			list = &f.Recalls
		case typReceipt:
			list = &f.Receipts
		case typReaction:
			list = &f.Reactions
		}
	}
	*list = append(*list, e)
}
