package peers

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	_ "modernc.org/sqlite" // the driver
)

// fts5 is SQLite's full-text search, unencrypted: an index without the texts,
// with English stems alone.
type fts5 struct{ db *sql.DB }

func openSQLite(dir string) (engine, error) {
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "index.db")+"?_pragma=journal_mode(wal)&_pragma=synchronous(normal)&_pragma=cache_size(-65536)")
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	return &fts5{db}, nil
}

func (f *fts5) build(ctx context.Context, messages []message) error {
	_, err := f.db.ExecContext(ctx, `CREATE VIRTUAL TABLE m USING fts5(text, sender, recipient, content='', tokenize='porter unicode61 remove_diacritics 2')`)
	if err != nil {
		return err
	}
	if _, err := f.db.ExecContext(ctx, `CREATE TABLE sent(seq INTEGER PRIMARY KEY, at INTEGER)`); err != nil {
		return err
	}
	for from := 0; from < len(messages); from += batchSize {
		if err := f.batch(ctx, from, messages[from:min(from+batchSize, len(messages))]); err != nil {
			return err
		}
	}
	_, err = f.db.ExecContext(ctx, `PRAGMA wal_checkpoint(truncate)`)
	return err
}

func (f *fts5) batch(ctx context.Context, from int, messages []message) (err error) {
	tx, err := f.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, tx.Rollback())
		}
	}()
	text, err := tx.PrepareContext(ctx, `INSERT INTO m(rowid, text, sender, recipient) VALUES (?, ?, ?, ?)`)
	if err != nil {
		return err
	}
	sent, err := tx.PrepareContext(ctx, `INSERT INTO sent(seq, at) VALUES (?, ?)`)
	if err != nil {
		return err
	}
	for i, m := range messages {
		if _, err := text.ExecContext(ctx, from+i, m.text, m.from, m.to); err != nil {
			return err
		}
		if _, err := sent.ExecContext(ctx, from+i, m.sent.UnixMilli()); err != nil {
			return err
		}
	}
	return tx.Commit()
}

func (f *fts5) ask(ctx context.Context, a asked) (total uint64, ok bool, err error) {
	match := `text : ("` + strings.Join(a.words, `" AND "`) + `")`
	switch {
	case a.phrase:
		match = `text : "` + strings.Join(a.words, " ") + `"`
	case a.near > 0:
		match = fmt.Sprintf(`text : NEAR("%s", %d)`, strings.Join(a.words, `" "`), a.near)
	}
	if err := f.db.QueryRowContext(ctx, `SELECT count(*) FROM m WHERE m MATCH ?`, match).Scan(&total); err != nil {
		return 0, false, err
	}
	rows, err := f.db.QueryContext(ctx, `SELECT rowid FROM m WHERE m MATCH ? ORDER BY rowid DESC LIMIT 50`, match)
	if err != nil {
		return 0, false, err
	}
	for rows.Next() {
		var seq uint64
		if err := rows.Scan(&seq); err != nil {
			return 0, false, errors.Join(err, rows.Close())
		}
	}
	return total, true, errors.Join(rows.Err(), rows.Close())
}

func (f *fts5) close() error { return f.db.Close() }
