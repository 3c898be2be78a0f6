package ingest

import "context"

// Told is what the relay says of the archive: how far it was told that the
// stream is durable, and from where on it still has it.
type Told struct {
	Epoch    string // the relay's newest
	Previous string // the epoch before, "" for none
	Acked    uint64 // relay seq, of Epoch
	Oldest   uint64 // relay seq of the oldest event that the relay still has, of Epoch
	High     uint64 // relay seq of the newest
}

// Told asks the relay. A log that was restored from a backup learns by it
// whether the archive had come further. It goes through a closed Gate.
func (c *Client) Told(ctx context.Context) (Told, error) {
	st, err := c.relay.status(ctx)
	if err != nil {
		return Told{}, err
	}
	return Told{Epoch: st.Epoch, Previous: st.PreviousEpoch, Acked: st.Acked, Oldest: st.Oldest, High: st.High}, nil
}
