package query

import "unicode"

const keycapFrame = 0x20e3 // after a digit

func isSkinTone(r rune) bool { return 0x1f3fb <= r && r <= 0x1f3ff }

// isFlagLetter says whether a rune is one of the two that make a flag.
func isFlagLetter(r rune) bool { return 0x1f1e6 <= r && r <= 0x1f1ff }

// isEmoji says whether a rune is an emoji: a sign, or a code point that is yet
// to be one, in the ranges that Unicode keeps for them and for the like of check
// marks. Other signs separate words, as the degree sign in 38°C does.
func isEmoji(r rune) bool {
	return r >= 0x2194 && unicode.Is(emoji, r) && !unicode.In(r, unicode.L, unicode.N, unicode.P)
}

var emoji = &unicode.RangeTable{
	R16: []unicode.Range16{
		{Lo: 0x2194, Hi: 0x2199, Stride: 1}, // arrows that have an emoji form; the others are signs
		{Lo: 0x21a9, Hi: 0x21aa, Stride: 1},
		{Lo: 0x231a, Hi: 0x231b, Stride: 1}, // watches
		{Lo: 0x2328, Hi: 0x2328, Stride: 1},
		{Lo: 0x23cf, Hi: 0x23cf, Stride: 1},
		{Lo: 0x23e9, Hi: 0x23fa, Stride: 1}, // clocks, buttons
		{Lo: 0x25aa, Hi: 0x25ab, Stride: 1},
		{Lo: 0x25b6, Hi: 0x25b6, Stride: 1},
		{Lo: 0x25c0, Hi: 0x25c0, Stride: 1},
		{Lo: 0x25fb, Hi: 0x25fe, Stride: 1},
		{Lo: 0x2600, Hi: 0x27bf, Stride: 1}, // miscellaneous symbols, dingbats
		{Lo: 0x2934, Hi: 0x2935, Stride: 1},
		{Lo: 0x2b05, Hi: 0x2b07, Stride: 1},
		{Lo: 0x2b1b, Hi: 0x2b1c, Stride: 1},
		{Lo: 0x2b50, Hi: 0x2b50, Stride: 1},
		{Lo: 0x2b55, Hi: 0x2b55, Stride: 1},
	},
	R32: []unicode.Range32{
		{Lo: 0x1f000, Hi: 0x1f0ff, Stride: 1},
		{Lo: 0x1f200, Hi: 0x1faff, Stride: 1},
	},
}
