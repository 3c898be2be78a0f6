package notice

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/mail"
	"net/textproto"
	"strconv"
	"strings"
	"time"

	gomail "github.com/wneessen/go-mail"

	"holdfast/internal/outward"
)

// SMTPOptions says how mail is sent. There is no mail without TLS.
type SMTPOptions struct {
	Address  string // host:port
	Implicit bool   // TLS from the first byte (RFC 8314); else STARTTLS (RFC 3207), which is insisted on
	Roots    *x509.CertPool
	From     string
	To       []string
	User     string // "": no login
	Password string
}

// SMTP sends mail.
type SMTP struct {
	o    SMTPOptions
	host string
	port int
}

// maxSMTP bounds what a mail server may say in one session, in bytes.
const maxSMTP = 256 << 10

// NewSMTP checks the options.
func NewSMTP(o SMTPOptions) (*SMTP, error) {
	host, port, err := net.SplitHostPort(o.Address)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSettings, err)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return nil, fmt.Errorf("%w: notify.smtp.address has no port that is a number", ErrSettings)
	}
	for _, a := range append([]string{o.From}, o.To...) {
		if _, err := mail.ParseAddress(a); err != nil || strings.ContainsAny(a, "\r\n") {
			return nil, fmt.Errorf("%w: notify.smtp.from and to are mail addresses; one of them is none", ErrSettings)
		}
	}
	if len(o.To) == 0 || (o.User != "") != (o.Password != "") {
		return nil, fmt.Errorf("%w: notify.smtp needs somebody to write to, and with a user a password", ErrSettings)
	}
	return &SMTP{o: o, host: host, port: int(n)}, nil
}

// Name implements Way.
func (s *SMTP) Name() string { return WaySMTP }

// Send implements Way: one mail to everybody.
func (s *SMTP) Send(ctx context.Context, p Parcel) error {
	p = p.clean()
	msg, err := s.message(p)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, outward.Timeout)
	defer cancel()
	var line *bounded
	whole := ctx // the library's own context ends with its beginning
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		line = newBounded(whole, conn, maxSMTP)
		if !s.o.Implicit {
			return line, nil
		}
		over := tls.Client(line, outward.TLS(s.host, s.o.Roots))
		return over, over.HandshakeContext(ctx)
	}
	client, err := gomail.NewClient(s.host, s.options(dial)...)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrSettings, err)
	}
	err = client.DialAndSendWithContext(ctx, msg)
	if line != nil {
		_ = line.Close() // the library leaves it open when the beginning failed; closed twice is no harm
	}
	// A server that took the mail and then hangs up without a goodbye has taken it.
	if err != nil && msg.IsDelivered() {
		return nil
	}
	if s.unoffered(err) {
		return ErrPlain
	}
	return err
}

// unoffered reports whether err is the library's own for a server that does not
// offer STARTTLS, for which it has no value: what a server wrote is none.
func (s *SMTP) unoffered(err error) bool {
	var said *textproto.Error
	return err != nil && !s.o.Implicit && !errors.As(err, &said) && strings.HasSuffix(err.Error(), "target host does not support STARTTLS")
}

func (s *SMTP) options(dial gomail.DialContextFunc) []gomail.Option {
	out := []gomail.Option{
		gomail.WithPort(s.port), gomail.WithTimeout(outward.Timeout), gomail.WithDialContextFunc(dial),
		gomail.WithTLSConfig(outward.TLS(s.host, s.o.Roots)), gomail.WithTLSPolicy(gomail.TLSMandatory), gomail.WithoutNoop(),
	}
	if s.o.Implicit {
		out = append(out, gomail.WithSSL())
	}
	if s.o.User != "" {
		out = append(out, gomail.WithUsername(s.o.User), gomail.WithPassword(s.o.Password),
			gomail.WithOpportunisticSMTPAuth(gomail.SMTPAuthSCRAMSHA256PLUS, gomail.SMTPAuthSCRAMSHA256, gomail.SMTPAuthPlain, gomail.SMTPAuthLogin))
	}
	return out
}

func (s *SMTP) message(p Parcel) (*gomail.Msg, error) {
	msg := gomail.NewMsg()
	if err := errors.Join(msg.From(s.o.From), msg.To(s.o.To...)); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSettings, err)
	}
	msg.Subject(p.title())
	msg.SetDateWithValue(p.Sent)
	msg.SetMessageIDWithValue(strings.ToLower(rand.Text()) + "@holdfast.invalid")
	msg.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834: nobody's vacation answers it
	if p.worst() == "critical" {
		msg.SetImportance(gomail.ImportanceHigh)
	}
	msg.SetBodyString(gomail.TypeTextPlain, mailText(p))
	return msg, nil
}

// maxMail bounds the alarms that one mail tells of; of more it says how many
// there are.
const maxMail = 50

// mailText is the mail's body.
func mailText(p Parcel) string {
	var b strings.Builder
	if p.Test {
		b.WriteString("This is a test of the way by which alarms leave the archive. Nothing is wrong.\n")
		return b.String()
	}
	for _, a := range p.Alarms[:min(len(p.Alarms), maxMail)] {
		fmt.Fprintf(&b, "%s: %s\n  raised %s, entry %d of archive %s\n  %s\n  %s\n", strings.ToUpper(a.Severity), a.Name, a.Raised.Format(time.RFC3339), a.Seq, p.ArchiveID, a.Text, a.Fix)
		if a.Repeat > 0 {
			fmt.Fprintf(&b, "  sent %d times before\n", a.Repeat)
		}
		b.WriteByte('\n')
	}
	if more := len(p.Alarms) - maxMail; more > 0 {
		fmt.Fprintf(&b, "%d more alarms are open: `holdfast alarms list`.\n\n", more)
	}
	b.WriteString("`holdfast alarms show SEQ` tells all of an alarm; it is sent again until somebody acknowledges it with `holdfast alarms ack SEQ --reason TEXT`.\n")
	return b.String()
}
