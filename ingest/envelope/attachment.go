package envelope

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// ChunkSize is the number of bytes before sealing in every chunk of an attachment but the last (AMX/1 §2).
const ChunkSize = 64 << 10

// SealedSize returns the number of sealed bytes of an attachment of size bytes.
func SealedSize(size int64) int64 { return size + chunks(size)*gcmTag }

// chunks returns the number of chunks: an empty file is one empty chunk, a multiple of 64 KiB ends in a full one.
func chunks(size int64) int64 {
	n := size / ChunkSize
	if size%ChunkSize != 0 || size == 0 {
		n++
	}
	return n
}

func attachmentAEAD(key [32]byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// chunkNonce is the 11-byte big-endian counter and 0x01 on the last chunk, else 0x00: so neither the order nor the end can be changed.
func chunkNonce(counter int64, last bool) []byte {
	nonce := make([]byte, 12)
	binary.BigEndian.PutUint64(nonce[3:11], uint64(counter))
	if last {
		nonce[11] = 1
	}
	return nonce
}

// SealAttachment writes src sealed to dst and returns the SHA-256 of what it wrote and the size of src in bytes. The key must be fresh:
// a second file under one key would reuse its nonces.
func SealAttachment(dst io.Writer, src io.Reader, key [32]byte) (ctSHA256 [32]byte, size int64, err error) {
	aead, err := attachmentAEAD(key)
	if err != nil {
		return ctSHA256, 0, fmt.Errorf("seal an attachment: %w", err)
	}
	sum := sha256.New()
	out := io.MultiWriter(dst, sum)
	chunk, ahead := make([]byte, ChunkSize), make([]byte, ChunkSize)
	sealed := make([]byte, 0, ChunkSize+gcmTag)
	n, err := readChunk(src, chunk)
	for counter := int64(0); err == nil; counter++ {
		// Whether a full chunk is the last is known only when nothing follows it.
		var next int
		if n == ChunkSize {
			next, err = readChunk(src, ahead)
			if err != nil {
				break
			}
		}
		sealed = aead.Seal(sealed[:0], chunkNonce(counter, next == 0), chunk[:n], nil)
		if _, err = out.Write(sealed); err != nil {
			break
		}
		size += int64(n)
		if next == 0 {
			return [32]byte(sum.Sum(nil)), size, nil
		}
		chunk, ahead, n = ahead, chunk, next
	}
	return ctSHA256, 0, fmt.Errorf("seal an attachment: %w", err)
}

// readChunk reads up to len(p) bytes; fewer means the end.
func readChunk(src io.Reader, p []byte) (int, error) {
	n, err := io.ReadFull(src, p)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return n, nil
	}
	return n, err
}

// OpenAttachment opens the sealed bytes of src, whose ct_sha256 the caller has checked, into dst; size is what the message says the file
// has. A chunk is written only after it is authenticated, but the last one may still fail: until OpenAttachment returns nil, nothing of
// dst may be shown. A file that is altered, cut short, longer or reordered is an *Error with BlobCorrupt.
func OpenAttachment(dst io.Writer, src io.Reader, key [32]byte, size int64) error {
	r, err := NewAttachmentReader(src, key, size)
	if err != nil {
		return err
	}
	for {
		plain, err := r.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if _, err := dst.Write(plain); err != nil {
			return fmt.Errorf("open an attachment: %w", err)
		}
	}
}

// OpenedSize returns the size of the attachment that has so many sealed bytes; false when none has.
func OpenedSize(sealed int64) (int64, bool) {
	if sealed < gcmTag {
		return 0, false
	}
	size := sealed - gcmTag*((sealed+ChunkSize+gcmTag-1)/(ChunkSize+gcmTag))
	return size, size >= 0 && SealedSize(size) == sealed
}

// An AttachmentReader opens an attachment chunk by chunk as it is read; each chunk is authenticated before any of it is given out. Its
// end is io.EOF only when the last chunk was the last and nothing followed it; anything else is an *Error with BlobCorrupt. Who must not
// show a part of a file whose end fails reads it twice.
type AttachmentReader struct {
	src     io.Reader
	aead    cipher.AEAD
	buf     []byte
	plain   []byte // of the chunk that is being read
	counter int64
	total   int64
	left    int64 // bytes of the file behind the chunk
	err     error
}

// NewAttachmentReader returns a reader of the file of size bytes whose sealed bytes src gives.
func NewAttachmentReader(src io.Reader, key [32]byte, size int64) (*AttachmentReader, error) {
	if size < 0 {
		return nil, refuse(BlobCorrupt, "attachment: a negative size")
	}
	aead, err := attachmentAEAD(key)
	if err != nil {
		return nil, fmt.Errorf("open an attachment: %w", err)
	}
	return &AttachmentReader{src: src, aead: aead, buf: make([]byte, ChunkSize+gcmTag), total: chunks(size), left: size}, nil
}

// Read gives the file's bytes.
func (r *AttachmentReader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for len(r.plain) == 0 && r.err == nil {
		r.plain, r.err = r.next()
	}
	if len(r.plain) == 0 {
		return 0, r.err
	}
	n := copy(p, r.plain)
	r.plain = r.plain[n:]
	return n, nil
}

// next opens the next chunk; it is good until the call after.
func (r *AttachmentReader) next() ([]byte, error) {
	if r.counter == r.total {
		return nil, r.end()
	}
	n := min(r.left, ChunkSize)
	sealed := r.buf[:n+gcmTag]
	if _, err := io.ReadFull(r.src, sealed); errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, refuse(BlobCorrupt, "attachment: shorter than its message says")
	} else if err != nil {
		return nil, fmt.Errorf("open an attachment: %w", err)
	}
	plain, err := r.aead.Open(sealed[:0], chunkNonce(r.counter, r.counter == r.total-1), sealed, nil)
	if err != nil {
		return nil, refuse(BlobCorrupt, "attachment: a chunk is altered, misplaced or under another key")
	}
	r.counter++
	r.left -= n
	return plain, nil
}

// end is io.EOF when nothing follows the last chunk.
func (r *AttachmentReader) end() error {
	switch n, err := io.ReadFull(r.src, r.buf[:1]); {
	case n > 0:
		return refuse(BlobCorrupt, "attachment: longer than its message says")
	case !errors.Is(err, io.EOF):
		return fmt.Errorf("open an attachment: %w", err)
	}
	return io.EOF
}
