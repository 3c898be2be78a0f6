package extract

import (
	"bytes"
	"net/http"
	"path"
	"strings"
)

// Kinds of files, as far as the first bytes tell them apart.
const (
	kindText  = 't' // a text in some encoding
	kindMarkp = 'm' // a text with tags between the words
	kindPDF   = 'p'
	kindZip   = 'z' // docx is one
	kindOLE   = 'o' // the container of older office formats, and of encrypted newer ones
	kindMedia = 'i' // pictures, recordings
	kindEmpty = 'e'
	kindOther = 'x'
)

// sniffed is how many bytes of a file are looked at to tell its kind.
const sniffed = 1024

// sniff tells the kind of a file from its first bytes, and from what its sender
// said only where these leave it open.
func sniff(head []byte, name, mime string) byte {
	switch {
	case len(head) == 0:
		return kindEmpty
	case bytes.Contains(head, []byte("%PDF-")):
		return kindPDF
	case bytes.HasPrefix(head, []byte("PK\x03\x04")):
		return kindZip
	case bytes.HasPrefix(head, []byte("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")):
		return kindOLE
	case bytes.HasPrefix(head, []byte(`{\rtf`)):
		return kindOther
	}
	found := http.DetectContentType(head)
	switch major, _, _ := strings.Cut(found, "/"); {
	case strings.HasPrefix(found, "text/html"), strings.HasPrefix(found, "text/xml"):
		return kindMarkp
	case major == "text":
		return kindText
	case major == "image", major == "audio", major == "video":
		return kindMedia
	case found != "application/octet-stream":
		return kindOther
	}
	switch major, _, _ := strings.Cut(strings.ToLower(mime), "/"); {
	case wideText(head) != nil, major == "text", textNames[strings.ToLower(path.Ext(name))]:
		return kindText
	case major == "image", major == "audio", major == "video":
		return kindMedia
	}
	return kindOther
}

var textNames = map[string]bool{".txt": true, ".text": true, ".csv": true, ".tsv": true, ".md": true, ".log": true}
