package daemon

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// Where alert rules, dashboard and runbook lie.
const watchFiles = "../../packaging/watch"

func watchFile(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(watchFiles, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

var (
	alertLine = regexp.MustCompile(`(?m)^ +- alert: (\w+)$`)
	exprLine  = regexp.MustCompile(`(?m)^ +expr: '(.*)'$`)
	forLine   = regexp.MustCompile(`(?m)^ +for: (\d+)([mhd])$`)
	metric    = regexp.MustCompile(`\b(?:holdfast|process|go)_[a-z0-9_]+\b`)
)

// metricsIn returns the names of the metrics of some expressions.
func metricsIn(expressions []string) []string {
	var out []string
	for _, e := range expressions {
		for _, name := range metric.FindAllString(e, -1) {
			out = append(out, strings.TrimSuffix(name, "_bucket"))
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Each alert has a test in which it fires and one in which it does not, a place
// in the runbook, and says how grave it is.
func TestAlertsAreTested(t *testing.T) {
	rules, tests := watchFile(t, "alerts.rules.yml"), watchFile(t, "alerts.test.yml")+watchFile(t, "alerts-days.test.yml")
	runbook := watchFile(t, "RUNBOOK.md")
	alerts := alertLine.FindAllStringSubmatch(rules, -1)
	if len(alerts) < 30 {
		t.Fatalf("%d alerts", len(alerts))
	}
	tried := strings.Split(tests, "      - eval_time: ")
	for _, m := range alerts {
		name := m[1]
		fires, quiet := 0, 0
		for _, one := range tried {
			if !strings.Contains(one, "alertname: "+name+"\n") {
				continue
			}
			if strings.Contains(one, "exp_alerts: []") {
				quiet++
			} else {
				fires++
			}
		}
		if fires == 0 || quiet == 0 {
			t.Errorf("%s: %d tests in which it fires, %d in which it does not", name, fires, quiet)
		}
		if !strings.Contains(runbook, "### "+name+"\n") {
			t.Errorf("%s: the runbook does not know it", name)
		}
		if !strings.Contains(rules, "RUNBOOK.md#"+strings.ToLower(name)+"'") {
			t.Errorf("%s: it does not say where the runbook has it", name)
		}
	}
	for _, m := range regexp.MustCompile(`(?m)^### (\w+)$`).FindAllStringSubmatch(runbook, -1) {
		if !strings.Contains(rules, "- alert: "+m[1]+"\n") {
			t.Errorf("the runbook has %s, which is no alert", m[1])
		}
	}
	if n := len(regexp.MustCompile(`(?m)^ +severity: (warning|critical)$`).FindAllString(rules, -1)); n != len(alerts) {
		t.Errorf("%d of %d alerts say how grave they are", n, len(alerts))
	}
	if n := len(exprLine.FindAllString(rules, -1)); n != len(alerts) {
		t.Errorf("%d expressions of %d alerts can be read", n, len(alerts))
	}
}

// alertTests are the tests of the alert rules.
var alertTests = []string{"alerts.test.yml", "alerts-days.test.yml", "alerts-waits.test.yml"}

// promtool runs it in the folder dir.
func promtool(dir string, args ...string) (string, error) {
	cmd := exec.Command("promtool", args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// promtool finds the rules well formed, and each does what its tests say.
func TestAlertRules(t *testing.T) {
	for _, args := range [][]string{{"check", "rules", "alerts.rules.yml"}, append([]string{"test", "rules"}, alertTests...)} {
		if out, err := promtool(watchFiles, args...); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}

// An alert that waited a minute less than it does, or a sixtieth less, would
// fail its tests: each is seen waiting just before it fires.
func TestAlertsWait(t *testing.T) {
	dir := t.TempDir()
	for _, name := range alertTests {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(watchFile(t, name)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	parts := strings.Split(watchFile(t, "alerts.rules.yml"), "- alert: ")
	var waiting []string
	for i, part := range parts {
		m := forLine.FindStringSubmatch(part)
		if m == nil {
			continue
		}
		n, err := strconv.Atoi(m[1])
		if err != nil {
			t.Fatal(err)
		}
		minutes := n * map[string]int{"m": 1, "h": 60, "d": 24 * 60}[m[2]]
		parts[i] = strings.Replace(part, m[0], fmt.Sprintf("        for: %dm", minutes-max(1, minutes/60)), 1)
		name, _, _ := strings.Cut(part, "\n")
		waiting = append(waiting, name)
	}
	if n := strings.Count(strings.Join(parts, ""), "        for: "); n != len(waiting) || n < 30 {
		t.Fatalf("%d alerts wait", len(waiting))
	}
	if err := os.WriteFile(filepath.Join(dir, "alerts.rules.yml"), []byte(strings.Join(parts, "- alert: ")), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := promtool(dir, append([]string{"test", "rules"}, alertTests...)...)
	if err == nil {
		t.Error("no test fails")
	}
	for _, name := range waiting {
		if !strings.Contains(out, "alertname: "+name+",") {
			t.Errorf("%s may fire earlier without a test that fails", name)
		}
	}
}

// dashboard is what of Grafana's dashboard model (schema version 39) the file
// uses and has to have.
type dashboard struct {
	Title         string   `json:"title"`
	UID           string   `json:"uid"`
	SchemaVersion int      `json:"schemaVersion"`
	Refresh       string   `json:"refresh"`
	Tags          []string `json:"tags"`
	Templating    struct {
		List []struct {
			Name  string          `json:"name"`
			Type  string          `json:"type"`
			Query json.RawMessage `json:"query"`
		} `json:"list"`
	} `json:"templating"`
	Panels []panel `json:"panels"`
}

type panel struct {
	ID         int         `json:"id"`
	Type       string      `json:"type"`
	Title      string      `json:"title"`
	Datasource *datasource `json:"datasource"`
	GridPos    struct {
		X, Y, W, H int
	} `json:"gridPos"`
	Targets []struct {
		RefID      string      `json:"refId"`
		Expr       string      `json:"expr"`
		Datasource *datasource `json:"datasource"`
	} `json:"targets"`
	FieldConfig struct {
		Defaults struct {
			Unit string `json:"unit"`
		} `json:"defaults"`
	} `json:"fieldConfig"`
}

type datasource struct {
	Type string `json:"type"`
	UID  string `json:"uid"`
}

func readDashboard(t *testing.T) *dashboard {
	t.Helper()
	d := new(dashboard)
	if err := json.Unmarshal([]byte(watchFile(t, "dashboard.json")), d); err != nil {
		t.Fatal(err)
	}
	return d
}

// The dashboard is one that Grafana 10 and later load as it is: it brings no
// data source of somebody's, asks for one, and each panel is drawn once, inside
// the grid and over no other.
func TestDashboard(t *testing.T) {
	d := readDashboard(t)
	if d.Title == "" || d.UID == "" || d.SchemaVersion < 37 || d.Refresh == "" {
		t.Errorf("%+v", d)
	}
	variables := map[string]string{}
	for _, v := range d.Templating.List {
		variables[v.Name] = v.Type
	}
	if variables["datasource"] != "datasource" || variables["instance"] != "query" || variables["job"] != "query" {
		t.Errorf("the variables are %v", variables)
	}
	ids, taken := map[int]bool{}, map[[2]int]string{}
	for _, p := range d.Panels {
		if p.ID <= 0 || ids[p.ID] {
			t.Errorf("%s: its id %d is another's, or none", p.Title, p.ID)
		}
		ids[p.ID] = true
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if x < 0 || x >= 24 || taken[[2]int{x, y}] != "" {
					t.Fatalf("%s lies over %q or outside of the grid", p.Title, taken[[2]int{x, y}])
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
		if p.Title == "" || p.GridPos.W == 0 || p.GridPos.H == 0 {
			t.Errorf("panel %d has no title or no size", p.ID)
		}
		p.check(t)
	}
}

var units = []string{"none", "short", "s", "bytes", "cps", "reqps"}

func (p *panel) check(t *testing.T) {
	t.Helper()
	if p.Type == "row" {
		if len(p.Targets) != 0 {
			t.Errorf("row %s has targets", p.Title)
		}
		return
	}
	if !slices.Contains([]string{"stat", "timeseries"}, p.Type) || len(p.Targets) == 0 || !slices.Contains(units, p.FieldConfig.Defaults.Unit) {
		t.Errorf("%s: type %q, %d targets, unit %q", p.Title, p.Type, len(p.Targets), p.FieldConfig.Defaults.Unit)
	}
	own := &datasource{"prometheus", "${datasource}"}
	refs := map[string]bool{}
	for _, q := range p.Targets {
		if q.RefID == "" || refs[q.RefID] {
			t.Errorf("%s: two targets are %q", p.Title, q.RefID)
		}
		refs[q.RefID] = true
		if q.Datasource == nil || *q.Datasource != *own || p.Datasource == nil || *p.Datasource != *own {
			t.Errorf("%s: its data source is not the variable's", p.Title)
		}
		if !strings.Contains(q.Expr, `{job="$job",instance="$instance"}`) {
			t.Errorf("%s: %s shows every appliance", p.Title, q.Expr)
		}
	}
}

// Every metric of an alert or of the dashboard is one that the daemon has, by
// exactly that name. (A metric of another description cannot be registered
// beside one of the same name.)
func TestMetricsAreRegistered(t *testing.T) {
	p := newWatched(t)
	var expressions []string
	for _, m := range exprLine.FindAllStringSubmatch(watchFile(t, "alerts.rules.yml"), -1) {
		expressions = append(expressions, m[1])
	}
	for _, panel := range readDashboard(t).Panels {
		for _, q := range panel.Targets {
			expressions = append(expressions, q.Expr)
		}
	}
	names := metricsIn(expressions)
	if len(names) < 35 {
		t.Errorf("only %d metrics are used: %v", len(names), names)
	}
	for _, name := range names {
		probe := prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: "a probe", ConstLabels: prometheus.Labels{"probe": "1"}})
		if p.server.Registry.Register(probe) == nil {
			p.server.Registry.Unregister(probe)
			t.Errorf("%s is used and nobody registers it", name)
		}
	}
}

// No label of any metric is one that could name somebody.
func TestMetricsNameNobody(t *testing.T) {
	p := newWatched(t)
	families, err := p.server.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	allowed := []string{
		"alarm", "anchor", "certificate", "class", "code", "endpoint", "goversion", "kind", "outcome", "quantile", "status", "version", "way",
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if !slices.Contains(allowed, l.GetName()) {
					t.Errorf("%s has the label %s", f.GetName(), l.GetName())
				}
			}
		}
	}
}
