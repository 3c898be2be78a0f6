package envelope

import "errors"

// A Code says why an envelope or a blob is in quarantine (AMX/1 §5).
type Code string

// The codes of an envelope.
const (
	Malformed          Code = "malformed"
	UnsupportedVersion Code = "unsupported_version"
	UnsupportedSuite   Code = "unsupported_suite"
	WrongArchive       Code = "wrong_archive"
	UnknownArchiveKey  Code = "unknown_archive_key"
	DecryptFailed      Code = "decrypt_failed"
	UnknownDeviceKey   Code = "unknown_device_key"
	BadSignature       Code = "bad_signature"
	BindingMismatch    Code = "binding_mismatch"
	TooLarge           Code = "too_large"
)

// The codes of a blob.
const (
	BlobPending Code = "pending"
	BlobMissing Code = "blob_missing"
	BlobCorrupt Code = "blob_corrupt"
)

// An Error is why something goes to quarantine. Its text is free of content.
type Error struct {
	Code   Code
	Opened []byte // what HPKE opened, padding included; nil if it did not get so far
	Err    error
}

func (e *Error) Error() string { return string(e.Code) + ": " + e.Err.Error() }

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

func refuse(code Code, reason string) *Error { return &Error{Code: code, Err: errors.New(reason)} }

// CodeOf returns the code of an error of this package, Malformed for any other.
func CodeOf(err error) Code {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return Malformed
}
