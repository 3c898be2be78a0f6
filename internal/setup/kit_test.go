package setup

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"holdfast/archive/seal"
)

// newPrint is a set of shares of a new key.
func newPrint(t testing.TB, needed, shares int) (*seal.RecoveryKey, *Print) {
	t.Helper()
	key, err := seal.NewRecoveryKey()
	if err != nil {
		t.Fatal(err)
	}
	p, err := Split(key, "ward.example", needed, shares)
	if err != nil {
		t.Fatal(err)
	}
	return key, p
}

// typist answers each question when it is asked.
type typist struct {
	shown   bytes.Buffer
	answers []func(shown string) string
	rest    io.Reader
}

func (y *typist) Write(p []byte) (int, error) { return y.shown.Write(p) }

func (y *typist) Read(p []byte) (int, error) {
	if y.rest == nil {
		if len(y.answers) == 0 {
			return 0, io.EOF
		}
		y.rest, y.answers = strings.NewReader(y.answers[0](y.shown.String())+"\n"), y.answers[1:]
	}
	n, err := y.rest.Read(p)
	if errors.Is(err, io.EOF) {
		y.rest = nil
		return y.Read(p)
	}
	return n, err
}

// as types that line.
func as(line string) func(string) string { return func(string) string { return line } }

// dialogue is a dialog in which these answers are typed.
func dialogue(answers ...func(string) string) (*Dialog, *typist) {
	y := &typist{answers: answers}
	return &Dialog{In: y, Out: y}, y
}

// The paper can be cut: each share says what it is, and what is read from it
// opens the archive.
func TestKitText(t *testing.T) {
	key, p := newPrint(t, 2, 3)
	text := p.Text()
	if strings.Count(text, "archive ward.example") != 4 || strings.Count(text, "any 2 shares") != 3 || strings.Count(text, "holder: ") != 3 {
		t.Error(text)
	}
	shares, err := Shares([]byte(text))
	if err != nil || len(shares) != 3 {
		t.Fatal(len(shares), err)
	}
	for _, pair := range [][]seal.Share{shares[:2], shares[1:], {shares[2], shares[0]}} {
		back, err := Combine(pair)
		if err != nil || !bytes.Equal(back.Public(), key.Public()) {
			t.Error(err)
		}
	}
	if _, err := Combine(shares[:1]); !errors.Is(err, seal.ErrShare) {
		t.Errorf("one share: %v", err)
	}
	for _, kit := range [][2]int{{1, 3}, {4, 3}, {2, 256}} {
		if _, err := Split(key, "ward.example", kit[0], kit[1]); !errors.Is(err, ErrGiven) {
			t.Errorf("%d of %d: %v", kit[0], kit[1], err)
		}
	}
}

// Exactly the share that is asked for counts, however it is typed.
func TestTypeBack(t *testing.T) {
	_, p := newPrint(t, 2, 3)
	_, former := newPrint(t, 2, 3)
	asked := func(shown string) (n int) {
		if _, err := fmt.Sscanf(shown[strings.LastIndex(shown, "share "):], "share %d of", &n); err != nil {
			t.Fatalf("%v in %q", err, shown)
		}
		return n - 1
	}
	right := func(shown string) string { return p.shares[asked(shown)].String() }
	loose := func(shown string) string {
		return "  " + strings.ToLower(strings.ReplaceAll(right(shown), "-", " ")) + " "
	}
	another := func(shown string) string { return p.shares[(asked(shown)+1)%3].String() }
	old := func(shown string) string { return former.shares[asked(shown)].String() }
	mistyped := func(shown string) string {
		b := []byte(right(shown))
		b[7] = map[bool]byte{true: 'B', false: 'A'}[b[7] == 'A']
		return string(b)
	}
	for name, one := range map[string]struct {
		answers []func(string) string
		ok      bool
		says    string
	}{
		"right":                {[]func(string) string{right}, true, "That share is right"},
		"as people type":       {[]func(string) string{loose}, true, "That share is right"},
		"at last":              {[]func(string) string{mistyped, as(""), right}, true, "That share is right"},
		"another share":        {[]func(string) string{another, another, another}, false, "not share"},
		"of a former set":      {[]func(string) string{old, old, old}, false, "of set " + former.Set},
		"mistyped":             {[]func(string) string{mistyped, mistyped, mistyped, right}, false, "share"},
		"nobody there":         {nil, false, ""},
		"no share but `kept`":  {[]func(string) string{as("kept"), as("yes"), as("")}, false, ""},
		"all of it in a piece": {[]func(string) string{as(strings.ReplaceAll(p.Text(), "\n", " "))}, false, ""},
	} {
		d, y := dialogue(one.answers...)
		err := p.TypeBack(t.Context(), d)
		if (err == nil) != one.ok || err != nil && !errors.Is(err, ErrNothing) || !strings.Contains(y.shown.String(), one.says) {
			t.Errorf("%s: %v\n%s", name, err, &y.shown)
		}
		for _, s := range p.shares {
			if strings.Contains(y.shown.String(), s.String()) {
				t.Errorf("%s: a share is shown:\n%s", name, &y.shown)
			}
		}
	}
}

// Shares are asked for until enough of one set are there; none is repeated.
func TestAskShares(t *testing.T) {
	key, p := newPrint(t, 3, 4)
	_, other := newPrint(t, 2, 2)
	line := func(s seal.Share) func(string) string { return as(s.String()) }
	d, y := dialogue(as("what"), line(p.shares[1]), line(p.shares[1]), line(other.shares[0]), line(p.shares[3]), as(""), line(p.shares[0]), as("never asked for"))
	shares, err := AskShares(t.Context(), d)
	if err != nil || len(shares) != 3 || len(y.answers) != 1 {
		t.Fatalf("%d, %v\n%s", len(shares), err, &y.shown)
	}
	if back, err := Combine(shares); err != nil || !bytes.Equal(back.Public(), key.Public()) {
		t.Error(err)
	}
	for _, want := range []string{"share 2 was given already", "of different sets", "another share of set " + p.Set + " (2 of 3)"} {
		if !strings.Contains(y.shown.String(), want) {
			t.Errorf("%q is not in\n%s", want, &y.shown)
		}
	}
	if strings.Contains(y.shown.String(), p.shares[1].String()[:9]) {
		t.Errorf("a share is shown:\n%s", &y.shown)
	}
	d, _ = dialogue(line(p.shares[1]))
	if _, err := AskShares(t.Context(), d); !errors.Is(err, ErrAnswers) {
		t.Errorf("the input ended: %v", err)
	}
}

func TestKitSets(t *testing.T) {
	dir := t.TempDir()
	if sets, err := KitSets(dir); err != nil || sets != nil {
		t.Fatal(sets, err)
	}
	_, a := newPrint(t, 2, 3)
	_, b := newPrint(t, 3, 5)
	for _, p := range []*Print{a, b} {
		if err := NoteKit(dir, p.KitSet); err != nil {
			t.Fatal(err)
		}
	}
	sets, err := KitSets(dir)
	if err != nil || !reflect.DeepEqual(sets, []KitSet{a.KitSet, b.KitSet}) {
		t.Fatalf("%+v, %v", sets, err)
	}
	text, err := os.ReadFile(filepath.Join(dir, KitFile))
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range append(a.shares, b.shares...) {
		if strings.Contains(string(text), s.String()[:9]) {
			t.Error("a share is noted")
		}
	}
	for name, damaged := range map[string]string{
		"cut": string(text[:len(text)/2]), "newer": strings.Replace(string(text), `"v": 1`, `"v": 2`, 1), "unknown": strings.Replace(string(text), `"v": 1`, `"v": 1, "x": 1`, 1),
		"set": strings.Replace(string(text), a.Set, "x", 1), "needed": strings.Replace(string(text), `"needed": 2`, `"needed": 9`, 1), "made": strings.Replace(string(text), a.Made, "then", 1),
		"large": string(text) + strings.Repeat(" ", maxKitRecord), "empty": "",
	} {
		put(t, filepath.Join(dir, KitFile), damaged)
		if sets, err := KitSets(dir); err == nil {
			t.Errorf("%s: %+v", name, sets)
		}
		if err := NoteKit(dir, a.KitSet); err == nil {
			t.Errorf("%s: what cannot be read was written over", name)
		}
	}
}

func FuzzParseKit(f *testing.F) {
	f.Add([]byte(`{"v":1,"sets":[{"set":"0011aabb","needed":2,"shares":3,"made":"2026-01-02T03:04:05Z"}]}`))
	f.Add([]byte(`{"v":1,"sets":null}`))
	f.Add([]byte(`{"v":1,"sets":[],"sets":[]}`))
	f.Add([]byte(`{"v":1e0,"sets":[{}]}`))
	f.Add([]byte("{}"))
	f.Fuzz(func(t *testing.T, text []byte) {
		sets, err := parseKit(text)
		if err != nil {
			return
		}
		dir := t.TempDir()
		for _, s := range sets {
			if err := NoteKit(dir, s); err != nil {
				t.Fatal(err)
			}
		}
		again, err := KitSets(dir)
		if err != nil || len(sets) != len(again) || len(sets) > 0 && !reflect.DeepEqual(sets, again) {
			t.Fatalf("%+v\n%+v\n%v", sets, again, err)
		}
	})
}

func FuzzShares(f *testing.F) {
	_, p := newPrint(f, 2, 3)
	f.Add([]byte(p.Text()))
	f.Add([]byte(p.shares[0].String()))
	f.Add([]byte(strings.ToLower(p.shares[0].String()) + "\r\n\r\n" + strings.ReplaceAll(p.shares[1].String(), "-", " ")))
	f.Add([]byte("a-b-c-d-e-f-g-h-i-j-k\n"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, text []byte) {
		shares, err := Shares(text)
		if err != nil {
			if !errors.Is(err, seal.ErrShare) {
				t.Fatalf("%v", err)
			}
			return
		}
		var b strings.Builder
		for _, s := range shares {
			b.WriteString(s.String() + "\n")
		}
		again, err := Shares([]byte(b.String()))
		if err != nil || !reflect.DeepEqual(shares, again) {
			t.Fatalf("%v", err)
		}
	})
}
