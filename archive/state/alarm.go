package state

import (
	"errors"
	"fmt"
	"slices"
	"sort"
	"time"

	"holdfast/archive"
	"holdfast/internal/ijson"
)

// Alarm is one alarm of the log, and who acknowledged it.
type Alarm struct {
	Seq    uint64
	Raised time.Time // received time of its entry
	archive.AlarmBody
	Ack *Ack // nil while the alarm is open
}

// Ack says who acknowledged an alarm, when and why. The first one counts.
type Ack struct {
	Seq       uint64
	At        time.Time // received time of its entry
	Principal string
	Reason    string
}

// ErrNotAlarm is returned for a seq that is not an alarm's.
var ErrNotAlarm = errors.New("that entry is not an alarm")

// Alarms returns the alarms, newest first: the open ones, or all of them.
func (s *State) Alarms(all bool) []Alarm {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var out []Alarm
	for _, a := range slices.Backward(s.alarms) {
		if all || a.Ack == nil {
			out = append(out, a)
		}
	}
	return out
}

// Alarm returns the alarm whose entry has the given seq, or ErrNotAlarm.
func (s *State) Alarm(seq uint64) (Alarm, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	i, ok := s.findAlarm(seq)
	if !ok {
		return Alarm{}, ErrNotAlarm
	}
	return s.alarms[i], nil
}

func (s *State) findAlarm(seq uint64) (int, bool) {
	return sort.Find(len(s.alarms), func(i int) int {
		switch at := s.alarms[i].Seq; {
		case seq < at:
			return -1
		case seq > at:
			return 1
		}
		return 0
	})
}

func (s *State) applyAlarm(rec archive.Record) error {
	a := Alarm{Seq: rec.Leaf.Seq, Raised: rec.Leaf.ReceivedTime()}
	if err := ijson.Unmarshal(rec.Body, &a.AlarmBody); err != nil {
		return err
	}
	s.alarms = append(s.alarms, a)
	return nil
}

func (s *State) applyAck(rec archive.Record) error {
	var body archive.AlarmAckBody
	if err := ijson.Unmarshal(rec.Body, &body); err != nil {
		return err
	}
	i, ok := s.findAlarm(body.Of)
	if !ok {
		return fmt.Errorf("it acknowledges entry %d: %w", body.Of, ErrNotAlarm)
	}
	if s.alarms[i].Ack == nil {
		s.alarms[i].Ack = &Ack{Seq: rec.Leaf.Seq, At: rec.Leaf.ReceivedTime(), Principal: body.Principal, Reason: body.Reason}
	}
	return nil
}
