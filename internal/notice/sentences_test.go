package notice

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

// The sentences of alarms leave the machine, and so hold nothing that is not
// in the program's own text: wherever the tree makes an alarm, its Text and Fix
// are constants, or fields of a table in which there are constants alone.
func TestSentencesOfAlarmsAreConstant(t *testing.T) {
	root := filepath.Join("..", "..")
	found := 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".") && d.Name() != "..") {
			return fs.SkipDir
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CompositeLit:
				if named(n.Type) != "AlarmBody" {
					return true
				}
				found++
				for _, e := range n.Elts {
					kv, ok := e.(*ast.KeyValueExpr)
					if !ok {
						t.Errorf("%s: an alarm whose fields have no names", path)
						continue
					}
					if key := named(kv.Key); (key == "Text" || key == "Fix") && !fixed(kv.Value) {
						t.Errorf("%s: the %s of an alarm is put together when it is raised: it may hold a name, and it leaves the machine; put what changes into Facts", path, key)
					}
				}
			case *ast.AssignStmt:
				for i, to := range n.Lhs {
					if s, ok := to.(*ast.SelectorExpr); ok && (s.Sel.Name == "Text" || s.Sel.Name == "Fix") && strings.Contains(strings.ToLower(named(s.X)), "alarm") && i < len(n.Rhs) && len(n.Rhs) == len(n.Lhs) && !fixed(n.Rhs[i]) {
						t.Errorf("%s: the %s of an alarm is changed when it is raised", path, s.Sel.Name)
					}
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if found < 10 {
		t.Errorf("only %d places were found that make an alarm", found)
	}
}

func named(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return e.Sel.Name
	}
	return ""
}

// fixed reports whether an expression is a constant, or a field of what a
// table of constants gave: those are called about.
func fixed(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.BasicLit:
		return e.Kind == token.STRING
	case *ast.BinaryExpr:
		return e.Op == token.ADD && fixed(e.X) && fixed(e.Y)
	case *ast.ParenExpr:
		return fixed(e.X)
	case *ast.Ident:
		return e.Obj != nil && e.Obj.Kind == ast.Con
	case *ast.SelectorExpr:
		return named(e.X) == "about"
	}
	return false
}
