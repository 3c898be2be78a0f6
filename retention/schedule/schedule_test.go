package schedule

import "testing"

func TestDefaultParses(t *testing.T) {
	s, err := Parse(Default())
	if err != nil {
		t.Fatal(err)
	}
	if got := s.Classify(Message{Type: "msg", Conversation: "patient", Labels: []string{"hipaa-documentation"}}); got != (Decision{"patient", "patient-conversations"}) {
		t.Fatal(got)
	}
	if l := s.Longest(); l != "patient" {
		t.Fatal(l)
	}
}
