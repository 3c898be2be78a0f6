package page

import (
	"bytes"
	"compress/gzip"
	_ "embed"
	"fmt"
	"io"
	"sync"
	"unicode"

	"golang.org/x/image/font"
	"golang.org/x/image/font/sfnt"
	"golang.org/x/image/math/fixed"
)

// The fonts, as the Debian packages fonts-dejavu-core and fonts-droid-fallback
// have them; their licences stand beside them.
var (
	//go:embed font/DejaVuSans.ttf.gz
	sansGzip []byte
	//go:embed font/DejaVuSans-Bold.ttf.gz
	boldGzip []byte
	//go:embed font/DroidSansFallback.ttf.gz
	wideGzip []byte
	//go:embed font/DroidSansFallbackFull.ttf.gz
	rareGzip []byte
)

// A face is one of the embedded fonts.
type face int

const (
	sans face = iota
	bold
	wide // Chinese, Japanese and Korean
	rare // Chinese characters that wide has not, as Cantonese and names need
	faces
	none face = -1
)

var faceNames = [faces]string{"sans", "bold", "wide", "rare"}

// A typeface is an opened font, with the glyph of each rune of the first plane
// and how wide it is.
type typeface struct {
	*trueType
	glyph [0x10000]uint16
	width [0x10000]uint16 // thousandths of the size; absent
}

// absent is the width of a rune that the font has no glyph for.
const absent = 0xffff

// open opens a font once, when the first PDF needs it.
var open = [faces]func() (*typeface, error){
	sync.OnceValues(func() (*typeface, error) { return newTypeface(sansGzip) }),
	sync.OnceValues(func() (*typeface, error) { return newTypeface(boldGzip) }),
	sync.OnceValues(func() (*typeface, error) { return newTypeface(wideGzip) }),
	sync.OnceValues(func() (*typeface, error) { return newTypeface(rareGzip) }),
}

func unpack(packed []byte) ([]byte, error) {
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, fmt.Errorf("page: an embedded font: %w", err)
	}
	file, err := io.ReadAll(z)
	if err != nil {
		return nil, fmt.Errorf("page: an embedded font: %w", err)
	}
	return file, nil
}

func newTypeface(packed []byte) (*typeface, error) {
	file, err := unpack(packed)
	if err != nil {
		return nil, err
	}
	f, err := sfnt.Parse(file)
	if err != nil {
		return nil, fmt.Errorf("page: an embedded font: %w", err)
	}
	tables, err := readTrueType(file)
	if err != nil {
		return nil, err
	}
	t := &typeface{trueType: tables}
	em := f.UnitsPerEm()
	var buf sfnt.Buffer
	for r := range t.width {
		t.width[r] = absent
		glyph, err := f.GlyphIndex(&buf, rune(r))
		if err != nil || glyph == 0 {
			continue
		}
		outline, err := tables.outline(uint16(glyph))
		if err != nil {
			return nil, err
		}
		// A sign that is drawn as nothing is as good as none.
		if len(outline) == 0 && !unicode.Is(unicode.Zs, rune(r)) {
			continue
		}
		advance, err := f.GlyphAdvance(&buf, glyph, fixed.I(int(em)), font.HintingNone)
		if err != nil {
			continue
		}
		t.glyph[r] = uint16(glyph)
		t.width[r] = uint16(advance.Round() * 1000 / int(em))
	}
	return t, nil
}

// A palette is the fonts as one document uses them.
type palette struct{ open [faces]*typeface }

func newPalette() (*palette, error) {
	p := new(palette)
	for i := range open {
		var err error
		if p.open[i], err = open[i](); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// of returns the font that draws r where face is asked for, and r's width;
// none if no font can.
func (p *palette) of(r rune, asked face) (face, int) {
	if r < 0 || r > 0xffff {
		return none, 0
	}
	for _, f := range [...]face{asked, sans, wide, rare} {
		if w := p.open[f].width[r]; w != absent {
			return f, int(w)
		}
	}
	return none, 0
}
