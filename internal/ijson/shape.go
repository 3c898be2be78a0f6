package ijson

import (
	"encoding"
	stdjson "encoding/json"
	"reflect"
	"strings"
	"sync"

	"github.com/go-json-experiment/json"
)

// A shape is what the scanner needs to know of a Go type: which member names it reads, so that a name in the wrong case is caught, and
// whether null may stand for a value. A nil shape accepts any value.
type shape struct {
	fields   map[string]*shape // exact member name to the member's shape; nil unless the type is a struct
	folded   map[string]bool   // the same names, folded
	open     bool              // unknown members are kept by a field of the struct, so strict reading lets them pass
	elem     *shape            // of a slice, an array or a map's value
	nullable bool
}

var (
	shapesMu sync.RWMutex
	shapes   = map[reflect.Type]*shape{}
)

func shapeOf(t reflect.Type) *shape {
	shapesMu.RLock()
	s, ok := shapes[t]
	shapesMu.RUnlock()
	if ok {
		return s
	}
	shapesMu.Lock()
	defer shapesMu.Unlock()
	return buildShape(t)
}

var customDecoders = []reflect.Type{
	reflect.TypeFor[stdjson.Unmarshaler](),
	reflect.TypeFor[json.UnmarshalerFrom](),
	reflect.TypeFor[encoding.TextUnmarshaler](),
}

// A type that decodes itself hides its members from the checks of case and of null. ReadAs names a value of the Go type whose shape its
// JSON has as well, so that they are checked all the same.
type readAs interface{ ReadAs() any }

// buildShape is called with shapesMu held. The shape is stored before its members are looked at, so that recursive types end.
func buildShape(t reflect.Type) *shape {
	if s, ok := shapes[t]; ok {
		return s
	}
	if like, ok := reflect.Zero(t).Interface().(readAs); ok && t.Kind() != reflect.Pointer {
		shapes[t] = buildShape(reflect.TypeOf(like.ReadAs()))
		return shapes[t]
	}
	for _, custom := range customDecoders {
		if t.Kind() != reflect.Pointer && reflect.PointerTo(t).Implements(custom) {
			shapes[t] = nil
			return nil
		}
	}
	s := &shape{}
	shapes[t] = s
	switch t.Kind() {
	case reflect.Pointer:
		elem := buildShape(t.Elem())
		if elem == nil {
			shapes[t] = nil
			return nil
		}
		*s = *elem
		s.nullable = true
	case reflect.Slice, reflect.Map:
		s.elem, s.nullable = buildShape(t.Elem()), true
	case reflect.Array:
		s.elem = buildShape(t.Elem())
	case reflect.Struct:
		s.fields, s.folded = map[string]*shape{}, map[string]bool{}
		addFields(s, t)
	case reflect.Interface:
		s.nullable = true
	}
	return s
}

func addFields(s *shape, t reflect.Type) {
	for f := range t.Fields() {
		tag := f.Tag.Get("json")
		name, options, _ := strings.Cut(tag, ",")
		inline := f.Anonymous && name == "" || strings.Contains(options, "inline")
		switch {
		case tag == "-", !f.IsExported() && !inline:
			continue
		case inline && f.Type.Kind() == reflect.Struct:
			addFields(s, f.Type)
			continue
		case inline, strings.Contains(options, "unknown"):
			s.open = true
			continue
		case name == "":
			name = f.Name
		}
		s.fields[name] = buildShape(f.Type)
		s.folded[string(appendFolded(nil, []byte(name)))] = true
	}
}
