package export

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"holdfast/archive/render"
)

// writeAbout writes what a patient's package covers and what not, for the
// patient. It says nothing that the manifest does not say.
func (p *producer) writeAbout(ctx context.Context) error {
	if p.req.Patient == nil {
		return nil
	}
	m, err := p.manifest(ctx)
	if err != nil {
		return err
	}
	f, err := writeBytes(p.sink, fileAbout, []byte(aboutText(m)))
	p.files = append(p.files, f)
	return err
}

// checkAbout checks that about.txt says what the manifest says.
func (v *verifier) checkAbout() {
	if v.m.Patient == nil || v.keys.Tool != "" && v.keys.Tool != v.m.Tool {
		return
	}
	want := aboutText(v.m)
	b, err := readSmall(v.fsys, fileAbout, int64(len(want)))
	if err != nil {
		v.v.file(fileAbout, problemOf(err), "it is not what a package like this says of itself")
	} else if !bytes.Equal(b, []byte(want)) {
		v.v.file(fileAbout, Changed, "it does not say what the manifest says")
	}
}

// grounds are the words for what is withheld, by tag, and by which paragraph of
// 45 CFR 164.524(a) that is, where there is one.
var grounds = map[string]string{
	"psychotherapy": "psychotherapy notes (45 CFR 164.524(a)(1)(i))",
	"privileged":    "legally privileged, or made for a legal proceeding (45 CFR 164.524(a)(1)(ii))",
	"part2":         "records of substance use disorder treatment, to be asked for by themselves (42 CFR 2.23)",
	TagOtherPatient: "about another patient",
}

// aboutText returns about.txt of a patient's package.
func aboutText(m *Manifest) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("ABOUT THIS PACKAGE OF MESSAGES")
	line("")
	line("Medical record number  %s", render.Visible(m.Patient.MRN))
	line("Prepared for           %s", render.Visible(m.Recipient))
	line("Prepared on            %s", visible(m.Created))
	line("Archive                %s", visible(m.Origin))
	line("")
	line("WHAT IT COVERS")
	line("")
	line("Messages of the hospital's messaging system that were marked with exactly this medical")
	line("record number when they were sent and that its archive had received when the package")
	line("was prepared, with their corrections, recalls and receipts: %d entries, and %d files", m.Counts.Produced, m.Counts.Attachments)
	line("that were attached.")
	line("")
	line("WHAT IT DOES NOT COVER")
	line("")
	line("Messages that carry no medical record number are NOT covered, even if they are about you")
	line("or name you; nor are messages that carry another number, or this one in another spelling.")
	line("The medical record itself and other systems are not covered.")
	line("")
	aboutWithheld(line, m)
	line("")
	aboutPeople(line, m)
	line("")
	line("WHOM TO ASK, AND YOUR RIGHTS")
	line("")
	if m.Patient.Contact != "" {
		line("Questions about this package are answered by: %s.", strings.TrimSuffix(render.Visible(m.Patient.Contact), "."))
	} else {
		line("Questions about this package are answered by the office that gave it to you.")
	}
	line("You can ask there why something is not included, whether that can be reviewed, and for")
	line("messages about you that are not marked with the number. For some reasons a decision not")
	line("to include something can be reviewed by a licensed health care professional who took no")
	line("part in it (45 CFR 164.524(a)(3) and (4)); for others it cannot (164.524(a)(2)). You can")
	line("complain to the hospital, and to the Secretary of the U.S. Department of Health and Human")
	line("Services (45 CFR 160.306).")
	line("")
	line("That the files are as they were handed out can be checked by anybody with the program")
	line("holdfast: holdfast verify FOLDER --log-key FILE.")
	return b.String()
}

// aboutWithheld says what is not there, by kind and number.
func aboutWithheld(line func(string, ...any), m *Manifest) {
	line("WHAT WAS LEFT OUT")
	line("")
	rest := sumOf(m.Counts.Withheld)
	none := true
	say := func(n uint64, what string) {
		if n > 0 {
			line("  %6d  %s", n, what)
			none = false
		}
	}
	for _, tag := range slices.Sorted(maps.Keys(m.Counts.WithheldBy)) {
		n := m.Counts.WithheldBy[tag]
		what, ok := grounds[tag]
		if !ok {
			what = visible(tag)
		}
		say(n, what)
		rest -= min(n, rest)
	}
	say(rest, "could not be read, or were no longer kept")
	say(m.Counts.Redacted, "included, with parts of the text covered")
	say(m.Counts.Unavailable, "attached files that could not be read")
	if none {
		line("Nothing that matched was left out.")
	}
}

// aboutPeople says how people are shown.
func aboutPeople(line func(string, ...any), m *Manifest) {
	line("NAMES OF OTHER PEOPLE")
	line("")
	switch m.Patient.ThirdParties {
	case ShowThirdParties:
		line("People who wrote or received messages are shown by name.")
		return
	case InitialsThirdParties:
		line("People who wrote or received messages are shown by their initials and a number, the")
	default:
		line("People who wrote or received messages are shown by a number instead of their names, the")
	}
	line("same one throughout this package. Names inside the text of messages, in the names of")
	line("groups and in attached files were not changed. Because a message's digital signature")
	line("covers the names, the package holds no proof of single messages: the hospital's archive")
	line("states what they say.")
}
