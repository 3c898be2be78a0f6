package outward

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
)

// failure is why an exchange failed. Its text is one of a few of ours: what
// net/http says has the whole address, of which a part may be a secret, and
// words of whoever answered. Unwrap gives it to those who tell kinds apart.
type failure struct{ cause error }

func failed(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrTooLong):
		return ErrTooLong
	}
	return &failure{err}
}

func (f *failure) Unwrap() error { return f.cause }

func (f *failure) Error() string {
	var certificate *tls.CertificateVerificationError
	var network net.Error
	var connection *net.OpError
	switch {
	case errors.Is(f.cause, context.Canceled):
		return "the exchange was cut short here"
	case errors.Is(f.cause, context.DeadlineExceeded), errors.As(f.cause, &network) && network.Timeout():
		return "there was no whole answer in time; see that the server runs, and that the way to it is open"
	case errors.As(f.cause, &certificate):
		return "the server's certificate is not to be believed; see that it has not ended, has the name that is configured, and is of an authority in the file `ca`"
	case errors.As(f.cause, &connection) && connection.Op == "dial":
		return "the server was not reached; see that its name and port are right, that it runs, and that the way to it is open"
	case errors.As(f.cause, &connection) && connection.Op == "proxyconnect":
		return "the proxy that the environment names was not reached"
	}
	return "the exchange broke off, or the answer was no HTTP; see the server's own log, and that of the proxy where there is one"
}
