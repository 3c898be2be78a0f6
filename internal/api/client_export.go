package api

import (
	"context"
	"errors"
	"io/fs"
	"mime"
	"mime/multipart"
	"net/http"
	"os"
	"path/filepath"

	"holdfast/internal/durable"
)

// partialSuffix marks a production that is not whole.
const partialSuffix = ".partial"

// maxFiles bounds the files of one production that a client takes.
const maxFiles = 1 << 22

// Hearing hears how an export goes. Each of its functions may be nil.
type Hearing struct {
	Begun    func(Begun) error              // once, before the first file
	Progress func(p Progress, bytes uint64) // entries as the daemon says, and bytes that have come
}

// Export asks for a production and writes it to the folder dir, which must not
// exist. The files are written to dir.partial, which becomes dir only when the
// production is whole: every file came, their digests agree, and all of them
// are on disk. When the export is cut off, or the disk fills up, dir.partial
// stays, and the same call with resume goes on where it ended; it stays as well
// when that is refused. After any other error nothing is left.
func (c *Client) Export(ctx context.Context, req ExportRequest, dir string, resume bool, hear Hearing) (done *Completion, err error) {
	dir = filepath.Clean(dir)
	f := &folder{dir: dir + partialSuffix}
	// The output is tried first: an export that cannot be written is not asked for.
	if resume {
		err = f.reopen(dir, &req)
	} else {
		err = makePartial(dir, f.dir)
	}
	if err != nil {
		return nil, err
	}
	begun := hear.Begun
	hear.Begun = func(b Begun) error {
		if err := f.begun(b); err != nil {
			return output("the partial folder cannot be written", err)
		}
		if begun != nil {
			return begun(b)
		}
		return nil
	}
	defer func() {
		if err != nil {
			err = f.abandon(err)
		}
	}()
	if done, err = c.Receive(ctx, req, f, hear); err != nil {
		return nil, err
	}
	if err := f.settle(); err != nil {
		return nil, output("the production cannot be put in its place", err)
	}
	// A crash before this leaves dir.partial, after it the whole production.
	if err := durable.Publish(f.dir, dir); err != nil {
		return nil, output("the production cannot be put in its place", err)
	}
	return done, nil
}

// Receive asks for a production and gives its files to sink, which has nothing
// whole before Receive returns without an error.
func (c *Client) Receive(ctx context.Context, req ExportRequest, sink Sink, hear Hearing) (*Completion, error) {
	way := "/v1/export"
	if req.Request != 0 {
		way = "/v1/export/approved"
	}
	resp, err := c.do(ctx, http.MethodPost, way, req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	kind, params, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/mixed" || params["boundary"] == "" {
		return nil, protocol(errors.New("a production that is not multipart/mixed"))
	}
	in := newIntake(sink, hear, req.Resume)
	done, err := in.read(multipart.NewReader(resp.Body, params["boundary"]))
	return done, errors.Join(err, in.leave())
}

// makePartial makes the folder partial, which must be new: it is nobody
// else's, and holds nothing from before.
func makePartial(dir, partial string) error {
	if err := absent(dir); err != nil {
		return err
	}
	err := os.Mkdir(partial, 0o700)
	if errors.Is(err, fs.ErrExist) {
		return &Problem{Title: partial + " is there already", Code: CodeOutput, Exit: ExitCreate,
			Hint: "another export is writing it, or one was cut off: go on with that by --resume, remove the folder, or name another"}
	}
	if err != nil {
		return &Problem{Title: "the folder cannot be made", Detail: err.Error(), Code: CodeOutput, Exit: ExitCreate, Hint: "name a folder whose parent exists and is writable", err: err}
	}
	return durable.SyncDir(filepath.Dir(partial))
}

func absent(dir string) error {
	if _, err := os.Lstat(dir); err == nil {
		return &Problem{Title: dir + " is there already", Code: CodeOutput, Exit: ExitCreate, Hint: "name a folder that does not exist: a production is never written over anything"}
	}
	return nil
}

func output(title string, err error) *Problem {
	return &Problem{Title: title, Detail: err.Error(), Code: CodeOutput, Exit: ExitIO, Hint: "check that the disk has room and works, then export again", err: err}
}
