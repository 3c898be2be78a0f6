package floors

import (
	"go/ast"
	"go/token"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

const (
	// longFile and tooLong are lengths of a Go file in lines: beyond the first
	// the test's log mentions it, beyond the second it fails. A test file, which
	// is read case by case, may be longer by longTest.
	longFile = 450
	tooLong  = 500
	longTest = 100
)

// unfinished finds the marks of work left for later. It is put together so
// that this file is not its own first finding.
var unfinished = regexp.MustCompile(`\b(` + "TO" + `DO|FIX` + `ME|XX` + `X)\b|//` + `nolint`)

// vague are words that no name of a type may end with, because they say nothing.
var vague = []string{"Manager", "Service", "Util", "Utils", "Common", "Data", "Helper", "Helpers"}

// writers are the functions of package os that make files behind the back of
// internal/durable, the only place where the product writes whole files; the
// demo and what makes the packages are not the product.
var writers = []string{"WriteFile", "Create", "Rename"}

// codeFaults says what one parsed Go file does that the tree does not want.
func codeFaults(fset *token.FileSet, file *ast.File, pkg string, test bool) []string {
	var faults []string
	add := func(at token.Pos, what string) {
		p := fset.Position(at)
		faults = append(faults, p.Filename+":"+strconv.Itoa(p.Line)+": "+what)
	}
	bubble := slices.ContainsFunc(file.Imports, func(i *ast.ImportSpec) bool { return i.Path.Value == `"testing/synctest"` })
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr:
			if what := callFault(n, pkg, test, bubble); what != "" {
				add(n.Pos(), what)
			}
		case *ast.TypeSpec:
			for _, word := range vague {
				if strings.HasSuffix(n.Name.Name, word) {
					add(n.Pos(), "type "+n.Name.Name+": a name that ends with "+word+" says nothing; use the glossary's word")
				}
			}
		}
		return true
	})
	return faults
}

// callFault says what is wrong with one call. bubble says that the file knows
// testing/synctest, in whose bubbles a sleep moves the clock and waits for
// nothing.
func callFault(call *ast.CallExpr, pkg string, test, bubble bool) string {
	if f, ok := call.Fun.(*ast.Ident); ok && f.Name == "panic" && !test {
		return "panic: return an error"
	}
	f, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return ""
	}
	on, ok := f.X.(*ast.Ident)
	if !ok {
		return ""
	}
	switch name := f.Sel.Name; {
	case test && (name == "Skip" || name == "Skipf" || name == "SkipNow"):
		switch on.Name {
		case "t", "b", "f", "tb", "tt":
			return on.Name + "." + name + ": a test that skips tells nothing; install what it needs (.ci/need) or fail"
		}
	case !(test && bubble) && on.Name == "time" && name == "Sleep":
		return "time.Sleep: wait for what is to happen, or for the context"
	case !test && on.Name == "os" && pkg != "internal/durable" && pkg != "internal/demo" && pkg != "packaging":
		for _, w := range writers {
			if name == w {
				return "os." + name + ": files are written through internal/durable, which syncs them and their folder"
			}
		}
	}
	return ""
}

// docFault says whether a package's comment has its form. Name is the
// package's name, dir its folder's path; text is "" where no file has one.
func docFault(name, dir, text string) string {
	want := "Package " + name + " "
	if name == "main" {
		want = "Command " + dir[strings.LastIndexByte(dir, '/')+1:] + " "
	}
	if !strings.HasPrefix(strings.Join(strings.Fields(text), " ")+" ", want) {
		return dir + ` has no package doc that begins with "` + want + `": say what it is, who may import it and where its format is specified`
	}
	return ""
}
