package retention

// Asked returns the hold whose release, or narrowing, the request at seq asks
// for; false when it asks for no release that this log has. It is as of what
// was applied.
func (b *Book) Asked(request uint64) (hold uint64, ok bool) {
	r, ok := b.options.Requests.Request(request)
	if !ok || r.Act != ActHoldRelease {
		return 0, false
	}
	b.mu.RLock()
	defer b.mu.RUnlock()
	a := b.asked[r.Digest]
	if a == nil {
		return 0, false
	}
	return a.hold, true
}
