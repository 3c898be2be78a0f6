// Command packaging makes Holdfast's packages: deb and rpm of the daemon and
// of the client alone, for each architecture, with manual pages, completions,
// notices, changelog and bill of materials.
//
//	cd packaging && go run . -out ../dist -version V -epoch N [-arch amd64,arm64] [-sign KEY [-passphrase FILE]]
//
// The same tree, version, epoch and Go release give the same bytes on every
// machine: nothing is taken from the clock, the host, the user, the folder, the
// umask or the time zone. OPERATIONS.md in this folder is the packages' manual.
//
// It is a module of its own, so that nobody who builds the product downloads
// what packages are made with. Nothing imports it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "packaging:", err)
		os.Exit(1)
	}
}

// options say what is made.
type options struct {
	out      string   // the folder that gets the packages
	tree     string   // the module's top
	stage    string   // a temporary folder
	program  string   // the version that the programs say they are
	version  string   // the packages'
	epoch    int64    // Unix time of everything in them
	archs    []string // amd64, arm64
	sign     *signer
	announce func(file string)
}

// spelled bounds a version, which becomes part of a linker's flag and of file names.
var spelled = regexp.MustCompile(`^[0-9A-Za-z][0-9A-Za-z.+~-]*$`)

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("packaging", flag.ContinueOnError)
	out := flags.String("out", "../dist", "`FOLDER` for the packages")
	tree := flags.String("tree", "..", "`FOLDER` of the module")
	version := flags.String("version", "", "version, as `git describe` says it")
	epoch := flags.String("epoch", os.Getenv("SOURCE_DATE_EPOCH"), "Unix `TIME` of the version; $SOURCE_DATE_EPOCH")
	archs := flags.String("arch", "amd64,arm64", "`ARCHITECTURES`")
	key := flags.String("sign", "", "`FILE` with an OpenPGP secret key to sign with")
	word := flags.String("passphrase", "", "`FILE` with the key's passphrase")
	if err := flags.Parse(args); err != nil {
		return err
	}
	o := options{program: *version, archs: strings.Split(*archs, ","), announce: func(file string) { fmt.Println(file) }}
	var err error
	if !spelled.MatchString(*version) {
		return errors.New("-version is missing: what `git describe --tags --always --dirty` says")
	}
	if o.version, err = packageVersion(*version); err != nil {
		return err
	}
	if o.epoch, err = strconv.ParseInt(*epoch, 10, 64); err != nil || o.epoch <= 0 {
		return errors.New("-epoch is missing: the Unix time of the version, as `git log -1 --format=%ct` says it")
	}
	for _, a := range o.archs {
		if baseline[a] == "" {
			return fmt.Errorf("-arch %s: there are amd64 and arm64", a)
		}
	}
	if slices.Sort(o.archs); len(slices.Compact(slices.Clone(o.archs))) != len(o.archs) {
		return errors.New("-arch names one twice")
	}
	if *key != "" {
		if o.sign, err = readSigner(*key, *word, o.epoch); err != nil {
			return err
		}
	}
	if o.out, err = filepath.Abs(*out); err != nil {
		return err
	}
	if o.tree, err = filepath.Abs(*tree); err != nil {
		return err
	}
	if o.stage, err = os.MkdirTemp("", "holdfast-packages-"); err != nil {
		return err
	}
	return errors.Join(makeAll(ctx, o), os.RemoveAll(o.stage))
}
