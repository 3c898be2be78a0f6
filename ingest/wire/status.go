package wire

import (
	"fmt"

	"holdfast/internal/ijson"
)

// Status is the answer to GET status.
type Status struct {
	Epoch         string `json:"epoch"`
	PreviousEpoch string `json:"previous_epoch"` // empty in the first epoch
	Oldest        uint64 `json:"oldest"`         // first seq still held
	High          uint64 `json:"high"`           // last seq held, 0 in an epoch without events
	Acked         uint64 `json:"acked"`          // last seq acked
}

// ParseStatus reads the answer to GET status. All members must be there. The errors wrap ErrMalformed.
func ParseStatus(b []byte) (Status, error) {
	var s struct {
		Epoch         *string `json:"epoch"`
		PreviousEpoch *string `json:"previous_epoch"`
		Oldest        *uint64 `json:"oldest"`
		High          *uint64 `json:"high"`
		Acked         *uint64 `json:"acked"`
	}
	if err := ijson.Unmarshal(b, &s); err != nil {
		return Status{}, fmt.Errorf("status: %w: %w", ErrMalformed, err)
	}
	if s.Epoch == nil || s.PreviousEpoch == nil || s.Oldest == nil || s.High == nil || s.Acked == nil {
		return Status{}, fmt.Errorf("status: %w: a member is missing", ErrMalformed)
	}
	if *s.Epoch == "" || len(*s.Epoch) > MaxID || len(*s.PreviousEpoch) > MaxID {
		return Status{}, fmt.Errorf("status: %w: an epoch's name is empty or longer than %d bytes", ErrMalformed, MaxID)
	}
	return Status{*s.Epoch, *s.PreviousEpoch, *s.Oldest, *s.High, *s.Acked}, nil
}
