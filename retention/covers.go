package retention

// Destroyed returns what the statement says of entries of its class and month:
// whether an entry of that seq was destroyed with the key of the named body
// file.
func (s *Statement) Destroyed() (func(file string, seq uint64) bool, error) {
	ranges, err := parseSpansText(s.Ranges)
	if err != nil {
		return nil, err
	}
	keys := map[string]bool{}
	for _, k := range s.Keys {
		keys[k.Name] = true
	}
	return func(file string, seq uint64) bool {
		return keys["bodies/"+file] && ranges.has(seq)
	}, nil
}
