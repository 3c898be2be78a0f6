package main

import (
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/pelletier/go-toml/v2"

	"holdfast/internal/config"
)

// A setting that is turned off: a hash, and a key or a table without a space.
var off = regexp.MustCompile(`(?m)^#(\[|[a-z_0-9]+ = )`)

func readExample(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("holdfastd.toml.example")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// The example is a configuration as it stands, and one with everything set.
func TestExampleIsAConfiguration(t *testing.T) {
	text := readExample(t)
	if _, err := config.Parse([]byte(text), "/etc/holdfast"); err != nil {
		t.Errorf("as it stands: %v", err)
	}
	if _, err := config.Parse([]byte(off.ReplaceAllString(text, "$1")), "/etc/holdfast"); err != nil {
		t.Errorf("with every key: %v", err)
	}
}

// Every key of the configuration is in the example, and none is in it by a
// table that another has taken.
func TestExampleHasEveryKey(t *testing.T) {
	var set map[string]any
	if err := toml.Unmarshal([]byte(off.ReplaceAllString(readExample(t), "$1")), &set); err != nil {
		t.Fatal(err)
	}
	checkKeys(t, "", reflect.TypeFor[config.Config](), set)
}

func checkKeys(t *testing.T, at string, typ reflect.Type, set map[string]any) {
	t.Helper()
	for i := range typ.NumField() {
		f := typ.Field(i)
		key, _, _ := strings.Cut(f.Tag.Get("toml"), ",")
		if key == "" || key == "-" {
			continue
		}
		value, there := set[key]
		if !there {
			t.Errorf("%s%s is no key of the example", at, key)
			continue
		}
		inner := f.Type
		for inner.Kind() == reflect.Pointer || inner.Kind() == reflect.Slice {
			inner = inner.Elem()
		}
		switch v := value.(type) {
		case map[string]any:
			checkKeys(t, at+key+".", inner, v)
		case []any:
			for _, e := range v {
				if table, ok := e.(map[string]any); ok {
					checkKeys(t, at+key+".", inner, table)
				}
			}
		}
	}
}
