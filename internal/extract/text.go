package extract

import (
	"bytes"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"
)

// readText reads a text file: UTF-8, UTF-16 if it says so or looks like it,
// else Windows-1252, of which Latin-1 is a part.
func readText(w *sheet, content []byte) Text {
	content = bytes.TrimPrefix(content, []byte("\xef\xbb\xbf"))
	status := StatusText
	if wide := wideText(content); wide != nil {
		status = putEncoded(w, wide, content, status)
	} else if utf8.Valid(content) {
		w.put(string(content))
	} else {
		high := 0
		for _, c := range content {
			if c >= 0x80 {
				high++
			}
		}
		if high > len(content)/4 || bytes.IndexByte(content, 0) >= 0 {
			status = StatusPartial // of another script, or no text: these are not the words
		}
		status = putEncoded(w, charmap.Windows1252, content, status)
	}
	return w.done(status)
}

// decodedAtOnce is how many bytes of a text are decoded at once.
const decodedAtOnce = 1 << 20

// putEncoded decodes as much as there is room for. A cut at an even byte may
// part a surrogate pair, which is then two replacement characters of a million.
func putEncoded(w *sheet, enc encoding.Encoding, content []byte, status string) string {
	for len(content) > 0 && !w.full {
		n := min(len(content), decodedAtOnce)
		b, err := enc.NewDecoder().Bytes(content[:n])
		if err != nil {
			return StatusPartial
		}
		w.put(string(b))
		content = content[n:]
	}
	return status
}

// wideText tells in which UTF-16 a text is, nil if in none: by its byte order
// mark, or because every other byte of its beginning is zero, as it is where
// letters are Latin.
func wideText(b []byte) encoding.Encoding {
	switch {
	case bytes.HasPrefix(b, []byte("\xff\xfe")):
		return unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM)
	case bytes.HasPrefix(b, []byte("\xfe\xff")):
		return unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM)
	}
	b = b[:min(len(b), sniffed)&^1]
	var zeros [2]int
	for i, c := range b {
		if c == 0 {
			zeros[i%2]++
		}
	}
	switch half := len(b) / 2; {
	case half < 4:
		return nil
	case zeros[1] > half*2/3 && zeros[0] == 0:
		return unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM)
	case zeros[0] > half*2/3 && zeros[1] == 0:
		return unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM)
	}
	return nil
}
