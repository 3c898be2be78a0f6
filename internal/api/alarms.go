package api

import (
	"context"
	"encoding/json"
	"net/http"

	"holdfast/archive"
	"holdfast/archive/audit"
	"holdfast/archive/proof"
	"holdfast/archive/state"
	"holdfast/internal/role"
)

func (s *Server) alarmsList(w http.ResponseWriter, r *http.Request, c *caller) error {
	var req AlarmsRequest
	if err := decode(w, r, &req); err != nil {
		return err
	}
	if err := s.Alarms.CatchUp(r.Context(), s.Ledger.Size()); err != nil {
		return err
	}
	resp, e := AlarmsResponse{Alarms: []Alarm{}}, s.eyes(c)
	for _, a := range s.Alarms.Alarms(req.All) {
		resp.Alarms = append(resp.Alarms, *e.alarm(alarmOf(a)))
	}
	return reply(w, resp)
}

func (s *Server) alarmsShow(w http.ResponseWriter, r *http.Request, c *caller) error {
	var req AlarmRequest
	if err := decode(w, r, &req); err != nil {
		return err
	}
	a, err := s.alarm(r.Context(), req.Seq)
	if err != nil {
		return err
	}
	return reply(w, s.eyes(c).alarm(*a))
}

// alarmBreakGlass is the name of the alarm that an account broke the glass
// (internal/auth).
const alarmBreakGlass = "break-glass"

// alarmDepartedHeld is the name of the alarm that a custodian under hold left
// (internal/daemon).
const alarmDepartedHeld = "departed-under-hold"

// alarmsAck acknowledges an alarm. One that is acknowledged already stays as
// it is: the first acknowledgement counts.
func (s *Server) alarmsAck(w http.ResponseWriter, r *http.Request, c *caller) error {
	var req AckRequest
	if err := decode(w, r, &req); err != nil {
		return err
	}
	if err := reasoned(req.Reason, "what was done about the alarm"); err != nil {
		return err
	}
	a, err := s.alarm(r.Context(), req.Seq)
	if err != nil {
		return err
	}
	if a.Name == alarmBreakGlass && c.who.Via == role.ViaBreakGlass {
		return s.refuse(r.Context(), c, &Problem{Title: "whoever broke the glass does not acknowledge the alarm about it", Hint: "somebody else asks you, looks at what you did, and acknowledges"})
	}
	if a.Ack == nil {
		if a, err = s.acknowledge(r.Context(), req, c.who); err != nil {
			return err
		}
	}
	return reply(w, s.eyes(c).alarm(*a))
}

// alarm renders an alarm as the caller may know it: who is held is told as the
// matter is.
func (e *eyes) alarm(a Alarm) *Alarm {
	if a.Name == alarmDepartedHeld && e.onPerson(a.Facts["person"]) != seesWhole {
		a.Facts, a.Fix = nil, "The members of the matter see who it is, and to it that devices and other sources of the custodian are preserved."
	}
	return &a
}

func (s *Server) acknowledge(ctx context.Context, req AckRequest, who audit.Principal) (*Alarm, error) {
	body, err := json.Marshal(archive.AlarmAckBody{Of: req.Seq, Principal: who.String(), Reason: req.Reason})
	if err != nil {
		return nil, err
	}
	entry := archive.Entry{Kind: proof.KindAlarmAck, Class: proof.ClassControl, Body: body}
	if _, err := s.Ledger.Append(ctx, archive.Batch{Entries: []archive.Entry{entry}}); err != nil {
		return nil, err
	}
	return s.alarm(ctx, req.Seq)
}

func (s *Server) alarm(ctx context.Context, seq uint64) (*Alarm, error) {
	if err := s.Alarms.CatchUp(ctx, s.Ledger.Size()); err != nil {
		return nil, err
	}
	a, err := s.Alarms.Alarm(seq)
	if err != nil {
		return nil, err
	}
	out := alarmOf(a)
	return &out, nil
}

func alarmOf(a state.Alarm) Alarm {
	out := Alarm{Seq: a.Seq, Raised: a.Raised, Name: a.Name, Severity: a.Severity, Text: a.Text, Fix: a.Fix, Facts: a.Facts}
	if a.Ack != nil {
		out.Ack = &Ack{Seq: a.Ack.Seq, At: a.Ack.At, Principal: a.Ack.Principal, Reason: a.Ack.Reason}
	}
	return out
}
