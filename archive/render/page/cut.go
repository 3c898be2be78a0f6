package page

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// errFont is returned for a font file that is not of its form. The embedded
// ones are.
var errFont = errors.New("page: an embedded font is not of its form; install Holdfast again")

// A trueType is a TrueType font's tables (Apple's TrueType Reference Manual,
// chapter 6; ISO/IEC 14496-22).
type trueType struct {
	tables  map[string][]byte
	glyf    []byte
	loca    []uint32 // where each glyph begins in glyf, and the end
	metrics int      // glyphs with an advance of their own in hmtx
}

// The tables that a cut font has, in the order of their names.
var tableNames = []string{"OS/2", "cmap", "cvt ", "fpgm", "glyf", "head", "hhea", "hmtx", "loca", "maxp", "name", "post", "prep"}

func readTrueType(file []byte) (*trueType, error) {
	t := &trueType{tables: map[string][]byte{}}
	if len(file) < 12 {
		return nil, errFont
	}
	for i := range int(binary.BigEndian.Uint16(file[4:])) {
		if len(file) < 12+16*(i+1) {
			return nil, errFont
		}
		entry := file[12+16*i:]
		at, size := uint64(binary.BigEndian.Uint32(entry[8:])), uint64(binary.BigEndian.Uint32(entry[12:]))
		if at+size > uint64(len(file)) {
			return nil, errFont
		}
		t.tables[string(entry[:4])] = file[at : at+size]
	}
	if len(t.tables["head"]) < 54 || len(t.tables["hhea"]) < 36 || len(t.tables["maxp"]) < 6 || len(t.tables["post"]) < 32 {
		return nil, errFont
	}
	t.glyf = t.tables["glyf"]
	t.metrics = int(binary.BigEndian.Uint16(t.tables["hhea"][34:]))
	n := int(binary.BigEndian.Uint16(t.tables["maxp"][4:])) + 1
	loca, long := t.tables["loca"], binary.BigEndian.Uint16(t.tables["head"][50:]) == 1
	width := 2
	if long {
		width = 4
	}
	if len(loca) < n*width || t.metrics < 1 || len(t.tables["hmtx"]) < 4*t.metrics+2*(n-1-t.metrics) {
		return nil, errFont
	}
	for i := range n {
		if long {
			t.loca = append(t.loca, binary.BigEndian.Uint32(loca[4*i:]))
		} else {
			t.loca = append(t.loca, 2*uint32(binary.BigEndian.Uint16(loca[2*i:])))
		}
		if int64(t.loca[i]) > int64(len(t.glyf)) || i > 0 && t.loca[i] < t.loca[i-1] {
			return nil, errFont
		}
	}
	return t, nil
}

// outline returns the description of a glyph, empty for one that is blank.
func (t *trueType) outline(id uint16) ([]byte, error) {
	if int(id)+1 >= len(t.loca) {
		return nil, errFont
	}
	return t.glyf[t.loca[id]:t.loca[id+1]], nil
}

// The flags of a component of a composite glyph.
const (
	wordArguments  = 1 << 0
	hasScale       = 1 << 3
	moreComponents = 1 << 5
	hasTwoScales   = 1 << 6
	hasMatrix      = 1 << 7
)

// components calls with for the place of each glyph number in a composite glyph.
func components(outline []byte, with func(at []byte)) error {
	if len(outline) < 2 || int16(binary.BigEndian.Uint16(outline)) >= 0 {
		return nil
	}
	for at := 10; ; {
		if len(outline) < at+4 {
			return errFont
		}
		flags := binary.BigEndian.Uint16(outline[at:])
		with(outline[at+2 : at+4])
		at += 6
		if flags&wordArguments != 0 {
			at += 2
		}
		switch {
		case flags&hasScale != 0:
			at += 2
		case flags&hasTwoScales != 0:
			at += 4
		case flags&hasMatrix != 0:
			at += 8
		}
		if flags&moreComponents == 0 {
			return nil
		}
	}
}

// cut returns the font with the glyphs of the runes alone, which ascend:
// fpdf reads every glyph of a font for every document, which takes longer for
// the fonts as they are than all else.
func (t *trueType) cut(runes []rune, glyphOf func(rune) uint16) ([]byte, error) {
	ids := []uint16{0}
	for _, r := range runes {
		ids = append(ids, glyphOf(r))
	}
	slices.Sort(ids)
	ids = slices.Compact(ids)
	for i := 0; i < len(ids); i++ { // grows by the glyphs that others are made of
		outline, err := t.outline(ids[i])
		if err != nil {
			return nil, err
		}
		if err := components(outline, func(at []byte) {
			if id := binary.BigEndian.Uint16(at); !slices.Contains(ids, id) {
				ids = append(ids, id)
			}
		}); err != nil {
			return nil, err
		}
	}
	place := make(map[uint16]uint16, len(ids))
	for i, id := range ids {
		place[id] = uint16(i)
	}
	var glyf, loca, hmtx []byte
	for _, id := range ids {
		outline, err := t.outline(id)
		if err != nil {
			return nil, err
		}
		outline = slices.Clone(outline)
		if err := components(outline, func(at []byte) { binary.BigEndian.PutUint16(at, place[binary.BigEndian.Uint16(at)]) }); err != nil {
			return nil, err
		}
		loca = binary.BigEndian.AppendUint32(loca, uint32(len(glyf)))
		glyf = append(glyf, outline...)
		for len(glyf)%4 != 0 {
			glyf = append(glyf, 0)
		}
		hmtx = append(hmtx, t.metric(int(id))...)
	}
	loca = binary.BigEndian.AppendUint32(loca, uint32(len(glyf)))
	cmap, err := characters(runes, func(r rune) uint16 { return place[glyphOf(r)] })
	if err != nil {
		return nil, err
	}
	return t.assemble(map[string][]byte{"glyf": glyf, "loca": loca, "hmtx": hmtx, "cmap": cmap}, uint16(len(ids))), nil
}

// metric returns a glyph's advance and left side bearing.
func (t *trueType) metric(id int) []byte {
	hmtx := t.tables["hmtx"]
	if id < t.metrics {
		return hmtx[4*id : 4*id+4]
	}
	last := hmtx[4*t.metrics-4:]
	bearing := hmtx[4*t.metrics+2*(id-t.metrics):]
	return []byte{last[0], last[1], bearing[0], bearing[1]}
}

// characters returns a cmap of format 4 in which every rune is a segment.
func characters(runes []rune, glyphOf func(rune) uint16) ([]byte, error) {
	n := len(runes) + 1
	if 16+8*n > 0xffff {
		return nil, fmt.Errorf("page: one document needs %d signs of a font: export the messages in smaller units", len(runes))
	}
	search, selector := 1, 0
	for search*2 <= n {
		search, selector = search*2, selector+1
	}
	b := []byte{0, 0, 0, 1, 0, 3, 0, 1, 0, 0, 0, 12}
	for _, v := range []int{4, 16 + 8*n, 0, 2 * n, 2 * search, selector, 2 * (n - search)} {
		b = binary.BigEndian.AppendUint16(b, uint16(v))
	}
	column := func(of func(rune) uint16, last uint16) {
		for _, r := range runes {
			b = binary.BigEndian.AppendUint16(b, of(r))
		}
		b = binary.BigEndian.AppendUint16(b, last)
	}
	column(func(r rune) uint16 { return uint16(r) }, 0xffff)
	b = append(b, 0, 0)
	column(func(r rune) uint16 { return uint16(r) }, 0xffff)
	column(func(r rune) uint16 { return glyphOf(r) - uint16(r) }, 1)
	column(func(rune) uint16 { return 0 }, 0)
	return b, nil
}

// assemble returns a font file of the new tables and, as they are, the others.
func (t *trueType) assemble(cut map[string][]byte, glyphs uint16) []byte {
	for _, name := range []string{"head", "hhea", "maxp", "post"} {
		cut[name] = slices.Clone(t.tables[name])
	}
	binary.BigEndian.PutUint16(cut["head"][50:], 1)
	binary.BigEndian.PutUint16(cut["hhea"][34:], glyphs)
	binary.BigEndian.PutUint16(cut["maxp"][4:], glyphs)
	cut["post"] = cut["post"][:32]
	binary.BigEndian.PutUint32(cut["post"], 0x00030000) // glyphs have no names
	var head, body []byte
	count := 0
	for _, name := range tableNames {
		table, ours := cut[name]
		if !ours {
			table = t.tables[name]
		}
		if table == nil {
			continue
		}
		count++
		cut[name] = table
	}
	head = append(head, 0, 1, 0, 0)
	for _, v := range []int{count, 0, 0, 0} {
		head = binary.BigEndian.AppendUint16(head, uint16(v))
	}
	for _, name := range tableNames {
		table := cut[name]
		if table == nil {
			continue
		}
		head = append(head, name...)
		head = binary.BigEndian.AppendUint32(head, 0) // fpdf makes the sums anew
		head = binary.BigEndian.AppendUint32(head, uint32(12+16*count+len(body)))
		head = binary.BigEndian.AppendUint32(head, uint32(len(table)))
		body = append(body, table...)
		for len(body)%4 != 0 {
			body = append(body, 0)
		}
	}
	return append(head, body...)
}
