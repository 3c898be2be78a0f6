package export

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"holdfast/ingest/envelope"
	"holdfast/internal/jws"
)

// annexLabel begins what the annex's hash covers. The annex holds 32 random
// bytes, so that its hash tells nothing to who does not have it.
const annexLabel = "holdfast annex v1\x00"

// annexHead is annex.json up to its exclusions.
type annexHead struct {
	V         int               `json:"v"`
	Salt      string            `json:"salt"` // 32 random bytes, unpadded base64url
	Origin    string            `json:"origin"`
	Created   string            `json:"created"`
	Principal string            `json:"principal"`
	Matter    string            `json:"matter"`
	Reason    string            `json:"reason"`
	Query     string            `json:"query"`  // as typed
	Parsed    string            `json:"parsed"` // as understood
	Scope     []string          `json:"scope,omitempty"`
	Names     []Name            `json:"names,omitempty"`
	First     uint64            `json:"first"`
	Last      uint64            `json:"last"`
	Through   uint64            `json:"through"`
	Excluded  map[string]uint64 `json:"found"` // what Produce excluded, by reason
	Recipient string            `json:"recipient,omitempty"`
	Purpose   string            `json:"purpose,omitempty"`
	Patient   *PatientAccess    `json:"patient_access,omitempty"`
	Near      *File             `json:"near,omitempty"` // annex/near.csv
}

// writeAnnex writes the internal part: what was asked, by whom and why, and
// every exclusion.
func (p *producer) writeAnnex(ctx context.Context) error {
	near, err := p.writeNear()
	if err != nil {
		return err
	}
	salted := sha256.New()
	// A hash takes every write.
	_, _ = io.WriteString(salted, annexLabel)
	f, err := writeFile(p.sink, fileAnnex, func(w *fileWriter) (uint64, error) {
		return p.fillAnnex(ctx, io.MultiWriter(w, salted), near)
	})
	if err != nil {
		return err
	}
	p.annexHash = hex.EncodeToString(salted.Sum(nil))
	m := AnnexManifest{V: Version, Origin: p.id.Origin, Created: envelope.FormatTime(p.created), Records: p.listed(fileList).SHA256, Files: []File{f}}
	if near != nil {
		m.Files = append(m.Files, *near)
	}
	b, err := marshalManifest(m)
	if err != nil {
		return err
	}
	sig, err := signDetached(typAnnex, p.log.IdentitySigner(), b)
	if err != nil {
		return fmt.Errorf("sign the annex: %w", err)
	}
	if _, err := writeBytes(p.sink, fileAnnexSig, sig); err != nil {
		return err
	}
	_, err = writeBytes(p.sink, fileAnnexManifest, b)
	return err
}

// saltLabel begins what is signed for the salt.
const saltLabel = "holdfast annex salt v1\x00"

// salt returns 32 bytes that nobody guesses who has not the identity key, the
// same for the same production made again: a signature that is never shown.
func (p *producer) salt(head []byte) (string, error) {
	digest := sha256.Sum256(head)
	sig, err := p.log.IdentitySigner().Sign(rand.Reader, append([]byte(saltLabel), digest[:]...), crypto.Hash(0))
	if err != nil {
		return "", fmt.Errorf("salt of the annex: %w", err)
	}
	salt := sha256.Sum256(sig)
	return jws.EncodeB64(salt[:]), nil
}

// fillAnnex writes annex.json, one exclusion a line, and returns how many.
func (p *producer) fillAnnex(ctx context.Context, w io.Writer, near *File) (uint64, error) {
	told := annexHead{
		V: Version, Origin: p.id.Origin, Created: envelope.FormatTime(p.created), Recipient: p.req.Recipient, Purpose: p.req.Purpose,
		Principal: p.req.Principal, Matter: p.req.Matter, Reason: p.req.Reason, Query: p.req.Query, Parsed: p.req.Parsed, Scope: p.req.Scope, Names: p.req.Names,
		First: p.req.First, Last: p.req.Last, Through: p.req.Through, Excluded: p.excluded,
		Patient: p.req.access(), Near: near,
	}
	head, err := marshalLine(told)
	if err != nil {
		return 0, err
	}
	if told.Salt, err = p.salt(append(head, p.signed...)); err != nil {
		return 0, err
	}
	if head, err = marshalLine(told); err != nil {
		return 0, err
	}
	if _, err := fmt.Fprintf(w, "%s,\n\"exclusions\":[", head[:len(head)-1]); err != nil {
		return 0, err
	}
	var n uint64
	write := func(x Exclusion) error {
		line, err := marshalLine(x)
		if err != nil {
			return err
		}
		sep := ",\n"
		if n == 0 {
			sep = "\n"
		}
		n++
		_, err = fmt.Fprintf(w, "%s%s", sep, line)
		return err
	}
	if err := p.ownExclusions(ctx, write); err != nil {
		return 0, err
	}
	if err := p.givenExclusions(write); err != nil {
		return 0, err
	}
	_, err = io.WriteString(w, "\n]}\n")
	return n, err
}

// ownExclusions writes what Produce itself excluded, and what is withheld or
// covered by somebody's word: it goes over the seqs again rather than keep them.
func (p *producer) ownExclusions(ctx context.Context, write func(Exclusion) error) error {
	if len(p.excluded)+len(p.tagged)+len(p.redacted) == 0 {
		return nil
	}
	again := map[string]uint64{}
	var failed error
	err := p.eachUnit(ctx, func(it *item) {
		x := Exclusion{Seq: it.rec.Leaf.Seq, Kind: it.rec.Leaf.Kind, Reason: it.reason}
		switch {
		case failed != nil:
			return
		case it.withheld != nil:
			x.By = it.withheld.By
		case it.reason != "":
			again[it.reason]++
		case it.row.Unproven != "":
			x.Reason = it.row.Unproven
		default:
			return
		}
		failed = write(x)
	}, func(*unit) error { return failed })
	if err != nil || failed != nil {
		return errors.Join(err, failed)
	}
	for reason, n := range p.excluded {
		if again[reason] != n {
			return ErrChanged
		}
	}
	return nil
}

// givenExclusions writes and counts what the caller excluded.
func (p *producer) givenExclusions(write func(Exclusion) error) error {
	if p.req.Exclusions == nil {
		return nil
	}
	for x, err := range p.req.Exclusions {
		if err != nil {
			return err
		}
		if !x.Kind.Valid() || !reasonForm.MatchString(x.Reason) {
			return fmt.Errorf("%w: an exclusion without a kind or a reason", ErrRequest)
		}
		p.withheld[x.Kind.String()]++
		if err := write(x); err != nil {
			return err
		}
	}
	return nil
}
