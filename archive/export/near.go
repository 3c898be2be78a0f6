package export

import (
	"strconv"
)

// Near is a message that a patient's package does not hold and that somebody
// should look at, because it may be the patient's. It stands in the annex alone.
type Near struct {
	Seq uint64
	MRN string // the number that it carries; "" if none
	Why string // in words
}

// writeNear writes the near matches of a patient's package, a part of the
// annex: even when there are none, so that it is seen that they were sought.
// nil: the production is no patient's package.
func (p *producer) writeNear() (*File, error) {
	if p.req.Near == nil {
		return nil, nil
	}
	f, err := writeFile(p.sink, fileNear, func(w *fileWriter) (uint64, error) {
		if err := writeCells(w, "seq", "mrn", "why"); err != nil {
			return 0, err
		}
		for n, err := range p.req.Near {
			if err == nil {
				err = writeCells(w, strconv.FormatUint(n.Seq, 10), n.MRN, n.Why)
			}
			if err != nil {
				return 0, err
			}
			p.near++
		}
		return p.near, nil
	})
	return &f, err
}
