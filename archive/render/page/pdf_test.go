package page

import (
	"bytes"
	"fmt"
	"image"
	_ "image/png"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/text/unicode/norm"

	"holdfast/archive/render"
)

// run runs one of poppler's tools on a PDF.
func run(t *testing.T, file []byte, tool string, args ...string) (out []byte, dir string) {
	t.Helper()
	dir = t.TempDir()
	path := filepath.Join(dir, "x.pdf")
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), tool, append(args, path, "-")...)
	if tool == "pdftoppm" {
		cmd = exec.CommandContext(t.Context(), tool, append(args, path, filepath.Join(dir, "p"))...)
	}
	var warned bytes.Buffer
	cmd.Stderr = &warned
	out, err := cmd.Output()
	if err != nil || warned.Len() > 0 {
		t.Fatalf("%s: %v\n%s", tool, err, warned.Bytes())
	}
	return out, dir
}

// A word is one that poppler finds on a page, with the box that it fills.
type word struct {
	text       string
	page       int
	x, y, w, h float64
}

var boxed = regexp.MustCompile(`<page |<word xMin="([-0-9.]+)" yMin="([-0-9.]+)" xMax="([-0-9.]+)" yMax="([-0-9.]+)">(.*?)</word>`)

func words(t *testing.T, file []byte) []word {
	t.Helper()
	out, _ := run(t, file, "pdftotext", "-bbox")
	var list []word
	page := 0
	for _, m := range boxed.FindAllStringSubmatch(string(out), -1) {
		if m[1] == "" {
			page++
			continue
		}
		var at [4]float64
		for i := range at {
			var err error
			if at[i], err = strconv.ParseFloat(m[i+1], 64); err != nil {
				t.Fatal(err)
			}
		}
		list = append(list, word{m[5], page, at[0], at[1], at[2] - at[0], at[3] - at[1]})
	}
	return list
}

// picture renders a page in grey, with scale pixels a point.
func picture(t *testing.T, file []byte, page int, scale float64) image.Image {
	t.Helper()
	_, dir := run(t, file, "pdftoppm", "-r", fmt.Sprint(72*scale), "-f", strconv.Itoa(page), "-l", strconv.Itoa(page), "-gray", "-png")
	names, err := filepath.Glob(filepath.Join(dir, "p*.png"))
	if err != nil || len(names) != 1 {
		t.Fatalf("%v %v", names, err)
	}
	f, err := os.Open(names[0])
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	img, _, err := image.Decode(f)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// ink counts the dark pixels in a box of points.
func inkIn(img image.Image, scale, x, y, w, h float64) int {
	n := 0
	for py := int(y * scale); py < int((y+h)*scale); py++ {
		for px := int(x * scale); px < int((x+w)*scale); px++ {
			if r, _, _, _ := img.At(px, py).RGBA(); r < 0x8000 {
				n++
			}
		}
	}
	return n
}

func samplePDF(t *testing.T) []byte {
	return show(t, PDF(), options(t), sample())["day/c-4west-2026-03-08.pdf"].Bytes()
}

func TestPDFSaysItsText(t *testing.T) {
	out, _ := run(t, samplePDF(t), "pdftotext", "-layout")
	text := norm.NFKC.String(string(out))
	for _, want := range []string{
		"Bed 12: ¿quién está de guardia? Müller's K+ is 6.1 mmol/L → please repeat, ΔpH −0.04.", "患者血钾六点一，请立即复查，必要时通知肾内科会诊。", "かしこまりました。カリウムを再検査します。",
		"네, 확인했습니다. 칼륨 재검사 부탁드립니다. 㗎 is Cantonese", "שלום", "[U+1F44D][U+1F3FD] ok ❤ [U+1F469][U+200D]⚕ family [U+1D518]", "é à", "███",
		"Version 2, 2026-03-08 03:09:00.123 -05:00 by Ana Núñez, seq 11, HF0000011", "RECALLED", "2026-03-08 01:59:00.123 -06:00", "Page 1 of 2", "Page 2 of 2", "HF0000001 – HF0000015", "not produced:",
	} {
		if !strings.Contains(text, norm.NFKC.String(want)) {
			t.Errorf("it does not say %q", want)
		}
	}
	for i, page := range strings.Split(strings.TrimSuffix(text, "\f"), "\f") {
		for _, want := range []string{"CONFIDENTIAL – SUBJECT TO PROTECTIVE ORDER", "Case No. 26-cv-0001", "4 West, noche 夜勤", "2026-03-08 (America/Chicago)", "holdfast.invalid/ARC/0123456789abcdef"} {
			if !strings.Contains(page, want) {
				t.Errorf("page %d does not say %q", i+1, want)
			}
		}
	}
}

// What pdftotext reads proves nothing about what is drawn: every word of the
// sample has ink where it stands.
func TestPDFDrawsWhatItSays(t *testing.T) {
	t.Parallel()
	file := samplePDF(t)
	const scale = 2.0
	pages := map[int]image.Image{}
	seen := 0
	for _, w := range words(t, file) {
		if pages[w.page] == nil {
			pages[w.page] = picture(t, file, w.page, scale)
		}
		// A point is the least that is drawn as a word of its own here.
		if got := inkIn(pages[w.page], scale, w.x, w.y, w.w, w.h); got < 2 && w.text != "·" && w.text != "–" {
			t.Errorf("page %d: %q is blank", w.page, w.text)
		}
		seen++
	}
	if seen < 200 {
		t.Errorf("%d words", seen)
	}
}

func TestPDFDrawsEachScript(t *testing.T) {
	t.Parallel()
	scripts := []string{"patient", "ñandúáéíóú", "Nguyễn", "ασθενής", "пациент", "患者血钾", "㗎㕮", "カリウム再検査", "확인했습니다", "שלום", "المريض", "→≤≥±µ€☎✓"}
	u := long(len(scripts))
	for i := range u.Entries {
		e := &u.Entries[i]
		e.Text, e.To, e.LeafHash, e.From = strings.Repeat("m", i+1)+" "+scripts[i], nil, "", &ana
	}
	file := show(t, PDF(), options(t), u)["day/long.pdf"].Bytes()
	pages := map[int]image.Image{}
	const scale = 2.0
	seen := 0
	list := words(t, file)
	for i, w := range list {
		n := len(w.text)
		if strings.Trim(w.text, "m") != "" || n > len(scripts) {
			continue
		}
		// Beside the m's, in whatever words poppler cuts it, is the script: it
		// has at least ten dark pixels a letter.
		if pages[w.page] == nil {
			pages[w.page] = picture(t, file, w.page, scale)
		}
		left, right := w.x+w.w, sheetWidth-margin
		if rightToLeft(faceSet(t).glyphs(scripts[n-1], sans, 10)) {
			right = w.x + 200
		}
		if got, want := inkIn(pages[w.page], scale, left, list[i].y, right-left, w.h), 10*len([]rune(scripts[n-1])); got < want {
			t.Errorf("%s: %d dark pixels, at least %d expected", scripts[n-1], got, want)
		}
		seen++
	}
	if seen != len(scripts) {
		t.Errorf("%d of %d lines", seen, len(scripts))
	}
}

func TestPDFKeepsWithinItsMargins(t *testing.T) {
	t.Parallel()
	wide := long(3)
	wide.Stem = "day/wide"
	wide.Entries[0].Text = strings.Repeat("x", 5000)
	wide.Entries[1].Text = strings.Repeat("漢字", 2500)
	wide.Entries[2].Text = strings.Repeat("😀", 300) + strings.Repeat("\u0301", 300)
	wide.Entries[2].Conversation.Name = strings.Repeat("name ", 100)
	for name, b := range show(t, PDF(), options(t), sample(), villain(hostile(t)), wide) {
		for _, w := range words(t, b.Bytes()) {
			if w.x < margin-1 || w.x+w.w > sheetWidth-margin+2 || w.y < margin-4 || w.y+w.h > sheetHeight-margin+4 {
				t.Errorf("%s page %d: %.40q stands at %.0f to %.0f, %.0f to %.0f", name, w.page, w.text, w.x, w.x+w.w, w.y, w.y+w.h)
			}
		}
	}
}

func TestPDFOfADayOfTwoHundredPages(t *testing.T) {
	t.Parallel()
	file := show(t, PDF(), options(t), long(1600))["day/long.pdf"].Bytes()
	out, _ := run(t, file, "pdftotext", "-layout")
	pages := strings.Split(strings.TrimSuffix(string(out), "\f"), "\f")
	if len(pages) < 190 {
		t.Fatalf("%d pages", len(pages))
	}
	found := 0
	for i, page := range pages {
		if !strings.Contains(page, fmt.Sprintf("Page %d of %d", i+1, len(pages))) {
			t.Errorf("page %d does not say so", i+1)
		}
		// The foot's Bates numbers are those of what stands on the page.
		numbers := regexp.MustCompile(`HF\d{7}`).FindAllString(page, -1)
		found += len(numbers)
		if foot := regexp.MustCompile(`(?m)^(HF\d{7})( – (HF\d{7}))? +Page`).FindStringSubmatch(page); foot == nil || foot[1] > numbers[0] {
			t.Errorf("page %d: foot %q, first number %s", i+1, foot, numbers[0])
		}
	}
	if found < 1600 {
		t.Errorf("%d Bates numbers", found)
	}
}

func TestPDFHidesNothing(t *testing.T) {
	u := long(1)
	u.Entries[0].Text = "a😀b\u202ec\ue000d"
	out, _ := run(t, show(t, PDF(), options(t), u)["day/long.pdf"].Bytes(), "pdftotext", "-layout")
	if want := `a[U+1F600]b\u202ec\ue000d`; !strings.Contains(string(out), want) {
		t.Errorf("no %s in\n%s", want, out)
	}
}

func TestPDFOfNothing(t *testing.T) {
	u := &render.Unit{Kind: render.Message, Stem: "m/1", Entries: []render.Entry{{Seq: 1, Kind: "message", Typ: "msg"}}}
	out, _ := run(t, show(t, PDF(), render.Options{}, u)["m/1.pdf"].Bytes(), "pdftotext", "-layout")
	if !strings.Contains(string(out), "Page 1 of 1") {
		t.Errorf("it says %s", out)
	}
}
