package peers

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"iter"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"holdfast/archive/query"
	"holdfast/archive/search"
)

// ours is the archive's own index, encrypted. It holds of a message what the
// daemon's does: people, conversation, times, type and digest as well.
type ours struct {
	dir string
	src *log
	x   *search.Index
}

func openOurs(dir string) (engine, error) {
	return &ours{dir: filepath.Join(dir, "index")}, nil
}

func (o *ours) build(ctx context.Context, messages []message) error {
	o.src = &log{messages}
	key := make(indexKey, 32)
	rand.Read(key)
	var err error
	if o.x, err = search.Open(ctx, o.dir, key, o.src, search.Options{}); err != nil {
		return err
	}
	following, stop := context.WithCancel(ctx)
	stopped := make(chan error, 1)
	go func() { stopped <- o.x.Follow(following) }()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for o.x.Lag() > 0 {
		select {
		case <-tick.C:
		case err := <-stopped:
			stop()
			return err
		}
	}
	stop()
	<-stopped
	return nil
}

func (o *ours) ask(ctx context.Context, a asked) (uint64, bool, error) {
	text := strings.Join(a.words, " ")
	switch {
	case a.phrase:
		text = `"` + text + `"`
	case a.near > 0:
		text = strings.Join(a.words, " NEAR("+strconv.Itoa(a.near)+") ")
	}
	q, err := query.Parse(text)
	if err != nil {
		return 0, false, err
	}
	r, err := o.x.Search(ctx, q, search.SearchOptions{Limit: 50})
	return r.Total, true, err
}

func (o *ours) close() error { return o.x.Close() }

type indexKey []byte

func (k indexKey) IndexKey(context.Context, uint64) (key [32]byte, err error) {
	copy(key[:], k)
	return key, nil
}

// log is the messages as a log.
type log struct{ messages []message }

func (l *log) Size() uint64          { return uint64(len(l.messages)) }
func (l *log) LeavesPerFile() uint64 { return 1 << 22 }

func (l *log) Wait(ctx context.Context, size uint64) error {
	if l.Size() > size {
		return nil
	}
	<-ctx.Done()
	return ctx.Err()
}

func (l *log) Docs(_ context.Context, from, to uint64) iter.Seq2[query.Doc, error] {
	person := func(name string) query.Parties {
		return query.Parties{{Usr: "u-" + name, UPN: name + "@ward.example", Mail: name + "@ward.example", Name: "Person " + name}}
	}
	return func(yield func(query.Doc, error) bool) {
		for seq := from; seq < to; seq++ {
			m := &l.messages[seq]
			d := query.Doc{
				Seq: seq, Text: m.text, Typ: "msg", Prio: "routine", Lang: "en", From: person(m.from), To: person(m.to),
				Conversation: query.ConversationRef{ID: "c-" + m.from + "-" + m.to, Kind: "direct"},
				Sent:         m.sent, Received: m.sent.Add(900 * time.Millisecond),
			}
			d.Members = slices.Concat(d.From, d.To)
			binary.BigEndian.PutUint64(d.Digest[:], (seq+1)*0x9e3779b97f4a7c15)
			if !yield(d, nil) {
				return
			}
		}
	}
}
