package query

// maxEdits is the greatest Distance of a fuzzy word.
const maxEdits = 2

// within says whether b is at most n edits away from a: optimal string
// alignment distance, in characters.
func within(a, b string, n int) bool {
	if d := len(a) - len(b); d > n*4 || -d > n*4 { // an edit changes at most a character
		return false
	}
	var x, y [maxTokenRunes * 2]rune // a token may grow when it is folded
	s, t := appendRunes(x[:0], a), appendRunes(y[:0], b)
	if d := len(s) - len(t); d > n || -d > n {
		return false
	}
	return distance(s, t, n) <= n
}

func appendRunes(to []rune, s string) []rune {
	for _, r := range s {
		to = append(to, r)
	}
	return to
}

// distance returns the optimal string alignment distance of s and t, or more
// than n if it is more than n. It looks at the band of the table in which a
// distance of n can lie.
func distance(s, t []rune, n int) int {
	const far = 1 << 20
	var table [3][2*maxEdits + 3]int // rows i-2, i-1 and i; columns j-i+n+1
	row := func(i int) *[2*maxEdits + 3]int { return &table[i%3] }
	for i := 0; i <= len(s); i++ {
		now := row(i)
		least := far
		for k := range now {
			now[k] = far
		}
		for j := max(0, i-n); j <= min(len(t), i+n); j++ {
			k := j - i + n + 1
			best := far
			switch {
			case i == 0:
				best = j
			case j == 0:
				best = i
			default:
				above := row(i + 2)
				cost := 1
				if s[i-1] == t[j-1] {
					cost = 0
				}
				best = min(above[k]+cost, above[k+1]+1, now[k-1]+1)
				if i > 1 && j > 1 && s[i-1] == t[j-2] && s[i-2] == t[j-1] {
					best = min(best, row(i + 1)[k]+1)
				}
			}
			now[k] = best
			least = min(least, best)
		}
		if least > n {
			return least
		}
	}
	return row(len(s))[len(t)-len(s)+n+1]
}
