package search

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"

	"github.com/blevesearch/bleve/v2/index/scorch"
	index "github.com/blevesearch/bleve_index_api"
)

// bleve asks two process-global functions for the transformation of each file
// that it writes or reads, and tells them only the file's path and the id that
// the writer chose. vault maps the directory of such a path to the key of its
// index; a path in no known directory is refused, never left in the clear.
var vault struct {
	once sync.Once
	mu   sync.RWMutex
	keys map[string][32]byte // by directory of the index
	dead map[string]*death   // by directory
}

const (
	// rootID is the writer id of root.bolt, which is rewritten for ever; a .zap
	// file is written once and has a random id.
	rootID   = "root"
	rootName = "root.bolt"
	// keyLabel begins the HKDF info of a file's key.
	keyLabel = "holdfast index file v1\x00"

	asyncErrorName = "holdfast"
)

var (
	errForeignFile = errors.New("a file outside any open search index")
	errDead        = errors.New("bleve's background work has died")
)

// installHooks gives bleve the hooks; they stay for the life of the process.
func installHooks() {
	vault.once.Do(func() {
		vault.keys = map[string][32]byte{}
		vault.dead = map[string]*death{}
		scorch.RegistryAsyncErrorCallbacks[asyncErrorName] = asyncError
		index.WriterHook = writerHook
		index.ReaderHook = readerHook
	})
}

func setVaultKey(dir string, key [32]byte) {
	vault.mu.Lock()
	defer vault.mu.Unlock()
	vault.keys[dir] = key
}

// death is closed when the background work of a store has died.
type death struct {
	once sync.Once
	ch   chan struct{}
}

func setVaultDeath(dir string, dead *death) {
	vault.mu.Lock()
	defer vault.mu.Unlock()
	vault.dead[dir] = dead
}

func dropVaultKey(dir string) {
	vault.mu.Lock()
	defer vault.mu.Unlock()
	delete(vault.keys, dir)
	delete(vault.dead, dir)
}

// asyncError hears what goes wrong in bleve's background work. After a panic
// there the work is dead and a waiting batch would wait for ever.
func asyncError(err error, dir string) {
	if !errors.Is(err, scorch.ErrAsyncPanic) {
		return // a failed write; Batch returns it as well
	}
	vault.mu.RLock()
	dead := vault.dead[dir]
	vault.mu.RUnlock()
	if dead != nil {
		dead.once.Do(func() { close(dead.ch) })
	}
}

func writerHook(path []byte) (string, func([]byte) []byte, error) {
	id := rootID
	if filepath.Base(string(path)) != rootName {
		var random [16]byte
		rand.Read(random[:])
		id = hex.EncodeToString(random[:])
	}
	aead, name, err := fileCipher(string(path), id)
	if err != nil {
		return "", nil, err
	}
	return id, func(plain []byte) []byte {
		return aead.Seal(nil, nil, plain, name)
	}, nil
}

func readerHook(id string, path []byte) (func([]byte) ([]byte, error), error) {
	if len(path) == 0 && id == "" {
		return nil, nil // a segment that is still in memory only
	}
	aead, name, err := fileCipher(string(path), id)
	if err != nil {
		return nil, err
	}
	return func(sealed []byte) ([]byte, error) {
		plain, err := aead.Open(nil, nil, sealed, name)
		if err != nil {
			return nil, fmt.Errorf("search index: %w", err)
		}
		return plain, nil
	}, nil
}

// fileCipher returns the cipher of one file and its associated data, the
// file's name. The key is bound to the name and to the id, so that neither a
// file under another file's name nor one written by another run can be read as
// if it were the right one.
func fileCipher(path, id string) (cipher.AEAD, []byte, error) {
	dir, name := filepath.Split(path)
	if (name == rootName) != (id == rootID) || name != rootName && !isZapID(id) {
		return nil, nil, errForeignFile
	}
	vault.mu.RLock()
	key, ok := vault.keys[strings.TrimSuffix(dir, string(filepath.Separator))]
	vault.mu.RUnlock()
	if !ok {
		return nil, nil, errForeignFile
	}
	fileKey, err := hkdf.Key(sha256.New, key[:], []byte(id), keyLabel+name, 32)
	if err != nil {
		return nil, nil, err
	}
	block, err := aes.NewCipher(fileKey)
	if err != nil {
		return nil, nil, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	return aead, []byte(name), err
}

func isZapID(id string) bool {
	b, err := hex.DecodeString(id)
	return err == nil && len(b) == 16
}
