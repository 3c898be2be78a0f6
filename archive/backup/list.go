package backup

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
)

// MaxList bounds a list of attachments, in bytes.
const MaxList = 256 << 20

// listLine is the length of the shortest line of a list.
const listLine = 64 + 1 + 1 + 1 + len("blobs/00/") + 64 + 1

// ErrList is returned for bytes that are no list of attachments.
var ErrList = errors.New("not a list of a backup's attachments")

// MarshalList returns a list: a line "SHA256 SIZE PATH\n" for each file, by
// path, all of one folder.
func MarshalList(files []File) []byte {
	var b bytes.Buffer
	for _, f := range files {
		fmt.Fprintf(&b, "%s %d %s\n", f.SHA256, f.Size, f.Path)
	}
	return b.Bytes()
}

// ParseList reads the list of a folder, strictly: what it accepts, MarshalList
// writes back to the byte.
func ParseList(text []byte, folder string) ([]File, error) {
	if len(text) > MaxList || len(text) == 0 || text[len(text)-1] != '\n' {
		return nil, ErrList
	}
	files := make([]File, 0, len(text)/listLine)
	before := ""
	for line := range bytes.Lines(text) {
		sum, rest, _ := bytes.Cut(line[:len(line)-1], []byte(" "))
		digits, path, _ := bytes.Cut(rest, []byte(" "))
		size, err := strconv.ParseInt(string(digits), 10, 64)
		f := File{Path: string(path), Size: size, SHA256: string(sum), Finished: true}
		m := blobPath.FindStringSubmatch(f.Path)
		if err != nil || strconv.FormatInt(size, 10) != string(digits) || size < 0 || size > maxSize || !hashText.Match(sum) ||
			m == nil || m[1] != folder || m[2][:2] != folder || f.Path <= before {
			return nil, ErrList
		}
		before = f.Path
		files = append(files, f)
	}
	return files, nil
}
