package doctor

import "fmt"

// Version judges the version that runs against the one that is installed.
func Version(running, installed string) Finding {
	if running != installed {
		return warn("version", fmt.Sprintf("version %s runs, version %s is installed", running, installed),
			"Run `systemctl restart holdfastd` at a quiet moment: the relay buffers what comes meanwhile. If the upgrade left the old process running, its output says why: `holdfastd check-config`.")
	}
	return fine("version", "version "+running+" runs and is installed")
}

// Down judges a daemon that does not answer; fix is empty for the usual one.
func Down(text, fix string) Finding {
	if fix == "" {
		fix = "Run `systemctl start holdfastd`, and `journalctl -u holdfastd` for why it ended. Nothing is lost meanwhile: the relay buffers."
	}
	return fatal("daemon", text, fix)
}

// Up is the finding of a daemon that answers.
func Up() Finding { return fine("daemon", "the daemon runs and answers") }

// Unasked is the finding of a daemon that may not be asked from this account.
func Unasked(text string) Finding {
	return warn("daemon", text, "Run this as root, or as an account that the configuration makes an administrator or auditor and that is in the socket's group.")
}

// Ailing judges a daemon that answers, but with a problem of its own, such as
// being locked.
func Ailing(text, hint string) Finding {
	if hint == "" {
		hint = "see its log: journalctl -u holdfastd"
	}
	return fatal("daemon", "the daemon answers that "+text, "The daemon says: "+hint+".")
}
