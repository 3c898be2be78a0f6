package ingest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"syscall"

	"holdfast/archive"
	"holdfast/ingest/wire"
)

// The classes of failures, as Status, metrics and the log's lines name them. They are what may be told of an error: its own text may hold
// what the relay wrote.
const (
	classNone          = ""
	classCanceled      = "canceled"
	classNetwork       = "network"
	classTLS           = "tls"
	classStalled       = "stalled"
	classInternal      = "internal"
	classSlowDown      = "slow_down"      // 429, 503
	classRefused       = "refused"        // 401, 403
	classEpochChanged  = "epoch_changed"  // 409
	classCursorAhead   = "cursor_ahead"   // 409
	classHeadMismatch  = "head_mismatch"  // 409
	classAckAhead      = "ack_ahead"      // 409
	classConflict      = "conflict"       // any other 409
	classCursorExpired = "cursor_expired" // 410
	classNotFound      = "not_found"      // 404
	classGone          = "gone"           // any other 410
	classAnswer        = "bad_answer"     // any other status
	classTruncated     = "page_truncated"
	classGap           = "page_gap"
	classRepeat        = "page_repeat"
	classNext          = "page_next"
	classHead          = "page_head"
	classSignature     = "page_signature"
	classTooLarge      = "page_too_large"
	classMalformed     = "malformed"
	classDiskFull      = ClassDiskFull
	classKeysBehind    = ClassKeysBehind
	classLog           = ClassLog
	classEpochUnknown  = "epoch_unknown"
	classBlobCorrupt   = "blob_corrupt"
)

// The classes of failure that stand for the archive's own: it takes nothing.
const (
	ClassDiskFull   = "disk_full"
	ClassLog        = "log"
	ClassKeysBehind = "keys_backup" // a new body file's key is in no copy of the keyring yet
)

// errEpochUnknown says that the relay's stream does not continue the one that the cursor stands in.
var errEpochUnknown = errors.New("the relay's epoch does not continue the known one")

var classes = []struct {
	err   error
	class string
}{
	{archive.ErrKeysBehind, classKeysBehind},
	{archive.ErrDiskFull, classDiskFull}, {syscall.ENOSPC, classDiskFull},
	{archive.ErrFailed, classLog}, {archive.ErrClosed, classLog}, {archive.ErrStaleCursor, classLog},
	{archive.ErrDamaged, classLog}, {archive.ErrNotFound, classLog}, {archive.ErrNoBody, classLog},
	{errEpochUnknown, classEpochUnknown},
	{errBlobCorrupt, classBlobCorrupt},
	{errStalled, classStalled}, {errBlobSlow, classStalled},
	{wire.ErrTruncated, classTruncated}, {wire.ErrGap, classGap}, {wire.ErrRepeat, classRepeat}, {wire.ErrNext, classNext},
	{wire.ErrHead, classHead}, {wire.ErrSignature, classSignature}, {wire.ErrTooLarge, classTooLarge},
	{wire.ErrMalformed, classMalformed},
}

// classOf names what kind of failure err is.
func classOf(err error) string {
	if err == nil {
		return classNone
	}
	for _, c := range classes {
		if errors.Is(err, c.err) {
			return c.class
		}
	}
	var p *wire.Problem
	if errors.As(err, &p) {
		return classOfProblem(p)
	}
	var alert *net.OpError // crypto/tls has no better type for what the peer refuses, or we do
	var cert *tls.CertificateVerificationError
	var unknown x509.UnknownAuthorityError
	var header tls.RecordHeaderError
	var file *fs.PathError // says before net.Error does whose failure it is: the errno within has the methods of both
	switch {
	case errors.As(err, &alert) && (alert.Op == "remote error" || alert.Op == "local error"), errors.As(err, &cert), errors.As(err, &unknown), errors.As(err, &header):
		return classTLS
	case errors.Is(err, context.Canceled):
		return classCanceled
	case errors.As(err, new(*url.Error)):
		return classNetwork
	case errors.As(err, &file), errors.Is(err, syscall.EIO):
		return classLog
	case errors.As(err, new(net.Error)):
		return classNetwork
	}
	return classInternal
}

func classOfProblem(p *wire.Problem) string {
	switch p.Status {
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		return classSlowDown
	case http.StatusUnauthorized, http.StatusForbidden:
		return classRefused
	case http.StatusNotFound:
		return classNotFound
	case http.StatusRequestEntityTooLarge:
		return classTooLarge
	case http.StatusGone:
		if p.Code == wire.CodeCursorExpired {
			return classCursorExpired
		}
		return classGone
	case http.StatusConflict:
		switch p.Code {
		case wire.CodeEpochChanged:
			return classEpochChanged
		case wire.CodeCursorAhead:
			return classCursorAhead
		case wire.CodeHeadMismatch:
			return classHeadMismatch
		case wire.CodeAckAhead:
			return classAckAhead
		}
		return classConflict
	}
	return classAnswer
}

// alarmFor says which alarm a failing poll comes to, and after how many failures in a row: a page is asked for once more before anybody is
// told of it, and silence is told by the clock (lag.go).
func alarmFor(class string) (name string, after int) {
	switch class {
	case classTruncated, classRepeat, classNext, classHead, classSignature, classTooLarge, classMalformed, classAnswer, classNotFound,
		classConflict, classGone:
		return AlarmPageRefused, 2
	case classGap:
		return AlarmGap, 2
	case classRefused, classTLS:
		return AlarmRefused, 2
	case classCursorExpired:
		return AlarmCursorExpired, 1
	case classCursorAhead:
		return AlarmCursorAhead, 1
	case classEpochUnknown:
		return AlarmEpochUnknown, 1
	}
	return "", 0
}

// pollAlarms are those that end with the first page that verifies.
var pollAlarms = []string{AlarmPageRefused, AlarmGap, AlarmRefused, AlarmCursorExpired, AlarmCursorAhead, AlarmEpochUnknown}
