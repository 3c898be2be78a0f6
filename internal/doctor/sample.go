package doctor

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
)

// Samples are the values of gauges and counters: by metric, and within it by the
// value of its one label, "" when it has none.
type Samples map[string]map[string]float64

// Gather takes the samples that a registry has now. A metric with several labels
// keeps the sum of each first label's values; histograms are left out. What a
// broken collector keeps back is missing, and the error says so.
func Gather(g prometheus.Gatherer) (Samples, error) {
	families, err := g.Gather()
	s := Samples{}
	for _, family := range families {
		if !strings.HasPrefix(family.GetName(), "holdfast_") {
			continue
		}
		values := map[string]float64{}
		for _, m := range family.GetMetric() {
			label := ""
			if l := m.GetLabel(); len(l) > 0 {
				label = l[0].GetValue()
			}
			switch {
			case m.GetGauge() != nil:
				values[label] += m.GetGauge().GetValue()
			case m.GetCounter() != nil:
				values[label] += m.GetCounter().GetValue()
			}
		}
		s[family.GetName()] = values
	}
	if err != nil {
		err = fmt.Errorf("gather the metrics: %w", err)
	}
	return s, err
}

// value returns the value of a metric without a label.
func (s Samples) value(name string) (float64, bool) {
	v, ok := s[name][""]
	return v, ok
}

// set returns which of a metric's labels have a value that is not zero, sorted.
func (s Samples) set(name string) []string {
	var out []string
	for _, label := range slices.Sorted(maps.Keys(s[name])) {
		if s[name][label] != 0 {
			out = append(out, label)
		}
	}
	return out
}
