package floors

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// report is what reading a tree has brought up: faults fail the test,
// warnings only stand in its log. Packages counts the folders with Go files.
type report struct {
	faults, warnings []string
	packages         int
}

// folder is what is known of one package while its files are read.
type folder struct {
	name string // the package's name; "" while only test files were seen
	doc  string
}

// examine reads every file of the tree that this project's people wrote:
// testdata, build output and names that begin with a dot are left out, but .ci
// is not.
func examine(tree fs.FS) (report, error) {
	var r report
	top, err := fs.ReadDir(tree, ".")
	if err != nil {
		return r, err
	}
	for _, e := range top {
		if fault := topFault(e.Name()); fault != "" {
			r.faults = append(r.faults, fault)
		}
	}
	folders := map[string]*folder{}
	err = fs.WalkDir(tree, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if leaveOut(name) {
				return fs.SkipDir
			}
			return nil
		}
		if !written(name) {
			return nil
		}
		b, err := fs.ReadFile(tree, name)
		if err != nil {
			return err
		}
		r.readText(name, b)
		if path.Ext(name) == ".go" {
			return r.readGo(name, b, folders)
		}
		return nil
	})
	for dir, f := range folders {
		if f.name == "" {
			continue
		}
		if fault := docFault(f.name, dir, f.doc); fault != "" {
			r.faults = append(r.faults, fault)
		}
	}
	r.packages = len(folders)
	slices.Sort(r.faults)
	r.faults = slices.Compact(r.faults)
	slices.Sort(r.warnings)
	return r, err
}

func leaveOut(dir string) bool {
	base := path.Base(dir)
	switch {
	case dir == "." || dir == ".ci":
		return false
	case base == "testdata", dir == "bin", dir == "dist":
		return true
	}
	return strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_")
}

// written says whether a file is text that people of the project wrote.
func written(name string) bool {
	switch path.Ext(name) {
	case ".go", ".md", ".mod", ".toml", ".sh", ".service":
		return true
	}
	return name == "Makefile" || path.Dir(name) == ".ci" && path.Ext(name) == ""
}

func (r *report) readText(name string, b []byte) {
	for i, line := range bytes.Split(b, []byte("\n")) {
		if mark := unfinished.Find(line); mark != nil {
			r.faults = append(r.faults, fmt.Sprintf("%s:%d: %s: finish it or leave it out", name, i+1, mark))
		}
	}
}

func (r *report) readGo(name string, b []byte, folders map[string]*folder) error {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, name, b, parser.ParseComments)
	if err != nil {
		return err
	}
	dir := path.Dir(name)
	test := strings.HasSuffix(name, "_test.go")
	f := folders[dir]
	if f == nil {
		f = &folder{}
		folders[dir] = f
	}
	if !test {
		f.name = file.Name.Name
		if file.Doc != nil {
			f.doc = file.Doc.Text()
		}
	}
	r.measure(name, bytes.Count(b, []byte("\n")), test)
	r.faults = append(r.faults, importFaults(dir, imported(file), test)...)
	r.faults = append(r.faults, codeFaults(fset, file, dir, test)...)
	return nil
}

func (r *report) measure(name string, lines int, test bool) {
	long, limit := longFile, tooLong
	if test {
		long, limit = long+longTest, limit+longTest
	}
	switch {
	case lines > limit:
		r.faults = append(r.faults, fmt.Sprintf("%s has %d lines: more than one idea? The limit is %d", name, lines, limit))
	case lines > long:
		r.warnings = append(r.warnings, fmt.Sprintf("%s has %d lines and nears the limit of %d", name, lines, limit))
	}
}

func imported(file *ast.File) []string {
	var paths []string
	for _, s := range file.Imports {
		if p, err := strconv.Unquote(s.Path.Value); err == nil { // the parser has accepted the literal
			paths = append(paths, p)
		}
	}
	return paths
}
