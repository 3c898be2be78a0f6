package ingest

// Through returns how far the tails have read the log: the seq of the next
// entry.
func (t *Tails) Through() uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.through
}

// Gaps returns how many holes the devices' numbers have, as of the last CatchUp: a
// run of missing numbers is one, as is a device whose numbers stand for two
// messages, or miss more than is kept track of. It may fall: what is late fills
// its hole.
func (t *Tails) Gaps() (n uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range t.senders {
		n += c.holes()
	}
	return n
}

// holes counts the runs of numbers that are missing before the newest.
func (c *counters) holes() (n uint64) {
	if c.broken {
		return 1
	}
	for at := range c.beyond {
		if _, ok := c.beyond[at-1]; !ok {
			n++ // whatever is beyond the dense numbers begins behind a hole
		}
	}
	return n
}
