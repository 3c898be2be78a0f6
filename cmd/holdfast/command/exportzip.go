package command

import (
	"archive/zip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"

	"filippo.io/age"

	"holdfast/internal/api"
	"holdfast/internal/durable"
)

// zipped is a production that arrives in a zip file: what leaves the house, and
// beside it a folder with what stays.
type zipped struct {
	path       string
	recipients []age.Recipient // whom it is sealed to; none: it is not
	file       io.WriteCloser
	sealed     io.WriteCloser // nil when it is not
	zip        *zip.Writer
}

// output returns where the production goes; nil stands for a folder.
func (o *exportOptions) output() (*zipped, error) {
	sealed := strings.HasSuffix(o.out, ".zip.age")
	switch {
	case !sealed && len(o.seal) > 0:
		return nil, usage("what is sealed is a zip file: name it with --out FILE.zip.age")
	case sealed && len(o.seal) == 0:
		return nil, usage("say with --seal to which age public key the zip is closed")
	case !sealed && !strings.HasSuffix(o.out, ".zip"):
		return nil, nil
	case o.resume:
		return nil, usage("an export into a zip file cannot be resumed: remove what is left of it, or export into a folder")
	}
	z := &zipped{path: filepath.Clean(o.out)}
	for _, text := range o.seal {
		keys, err := age.ParseRecipients(strings.NewReader(text))
		if err != nil {
			return nil, usage("--seal takes an age public key: it begins with age1")
		}
		z.recipients = append(z.recipients, keys...)
	}
	return z, nil
}

// annexPath returns where the internal part is put; "" in the folder.
func (z *zipped) annexPath() string {
	if z == nil {
		return ""
	}
	return z.path + ".annex"
}

// receive has the production put into the zip file. Until all of it is whole
// and on disk both have other names; after an error nothing is left.
func (z *zipped) receive(from func(api.Sink) (*api.Completion, error)) (done *api.Completion, err error) {
	partial, annex := z.path+".partial", z.annexPath()+".partial"
	for _, path := range []string{z.path, z.annexPath(), partial, annex} {
		if _, err := os.Lstat(path); err == nil {
			return nil, &api.Problem{Title: path + " is there already", Code: api.CodeOutput, Exit: api.ExitCreate, Hint: "a production is never written over anything: name another file, or remove what is left of an export that was cut off"}
		}
	}
	if err := z.open(partial, annex); err != nil {
		return nil, zipProblem(err, os.RemoveAll(annex))
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, z.file.Close(), os.Remove(partial), os.RemoveAll(annex))
		}
	}()
	if done, err = from(z); err != nil {
		return nil, err
	}
	if err := z.close(); err != nil {
		return nil, zipProblem(err)
	}
	// The zip comes last: a crash before it leaves an annex without a production.
	if err := errors.Join(durable.Publish(annex, z.annexPath()), durable.Publish(partial, z.path)); err != nil {
		return nil, zipProblem(err)
	}
	return done, nil
}

func zipProblem(errs ...error) error {
	err := errors.Join(errs...)
	return &api.Problem{Title: "the zip file cannot be written", Detail: err.Error(), Code: api.CodeOutput, Exit: api.ExitIO,
		Hint: "name a file in a folder that is there and writable, with room on its disk, and export again"}
}

func (z *zipped) open(partial, annex string) (err error) {
	if err := os.Mkdir(annex, 0o700); err != nil {
		return err
	}
	if z.file, err = durable.Grow(partial, 0, 0o600); err != nil {
		return err
	}
	to := io.Writer(z.file)
	if len(z.recipients) > 0 {
		if z.sealed, err = age.Encrypt(z.file, z.recipients...); err != nil {
			return errors.Join(err, z.file.Close())
		}
		to = z.sealed
	}
	z.zip = zip.NewWriter(to)
	return nil
}

func (z *zipped) close() error {
	if err := z.zip.Close(); err != nil {
		return err
	}
	if z.sealed != nil {
		if err := z.sealed.Close(); err != nil {
			return err
		}
	}
	return z.file.Close()
}

// Create implements api.Sink.
func (z *zipped) Create(name string) (io.WriteCloser, error) {
	if inside, ok := strings.CutPrefix(name, "annex/"); ok {
		return durable.Grow(filepath.Join(z.annexPath()+".partial", filepath.FromSlash(inside)), 0, 0o600)
	}
	// No time: the same production makes the same bytes.
	w, err := z.zip.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Deflate})
	return member{w}, err
}

// member is a file of the zip; the next one ends it.
type member struct{ io.Writer }

// Close does nothing.
func (member) Close() error { return nil }
