package command

import (
	"path/filepath"
	"strconv"
	"strings"

	"holdfast/internal/certreq"
	"holdfast/internal/config"
)

// exampleURL stands in a configuration whose relay nobody has named.
const exampleURL = "https://relay.vendor.example"

// relayURL is the relay's address: as it was given, else as the configuration in
// the folder has it, in force or behind a # as init writes a section that waits
// for its files; empty where nobody has said it.
func (e *enrollment) relayURL() string {
	if e.url != "" {
		return e.url
	}
	path := filepath.Join(e.dir, "holdfastd.toml")
	if c, err := config.Load(path); err == nil && c.Relay != nil {
		return c.Relay.URL
	}
	text, err := certreq.Read(path) // no PEM, and bounded likewise
	if err != nil {
		return ""
	}
	return waitingURL(string(text))
}

// waitingURL finds the url of a [relay] section that stands behind a #.
func waitingURL(text string) string {
	within := false
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(strings.TrimLeft(line, "# "))
		if strings.HasPrefix(line, "[") {
			within = strings.HasPrefix(line, "[relay]")
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if !within || !ok || strings.TrimSpace(key) != "url" {
			continue
		}
		quoted, err := strconv.QuotedPrefix(strings.TrimSpace(value))
		if err != nil {
			return ""
		}
		url, err := strconv.Unquote(quoted)
		if err != nil || url == exampleURL || !strings.HasPrefix(url, "https://") {
			return ""
		}
		return url
	}
	return ""
}
