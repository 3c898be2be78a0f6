// Package extract reads the text inside attachments: of text files, PDF and
// docx. Attachments come from outside, and parsers of such formats have faults,
// so each file is read in a process of its own, which has no environment, no
// file, no network and little memory and time, and whose answer is believed
// only in form. Whatever a file does to that process, it ends as a status.
//
// [Reader] is the parent's side, [Child] what the child runs: `holdfastd
// extract`, which nobody calls by hand. The daemon imports the former,
// cmd/holdfastd the latter; the package knows no archive.
//
// What passes between the two is, parent to child:
//
//	"HFX1" kind(1) seconds(4) memory(8) text(4) content
//
// and child to parent
//
//	"HFX1" status(1) length(4) text
//
// with numbers big-endian: the kind of file as the parent sees it, CPU seconds,
// bytes of memory, the most bytes of text; then the file to its end. The answer
// has exactly length bytes of UTF-8 text and nothing behind it. A file is never
// written to a disk, and neither its name nor any of its content is in the
// child's arguments or in what it could write to a log: its stderr goes nowhere.
package extract
