package envelope

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	stdjson "encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"holdfast/internal/jws"

	jose "github.com/go-jose/go-jose/v4"
)

var update = flag.Bool("update", false, "make the vectors in testdata anew")

// A vector is one envelope with everything that is secret about it; testdata/README.md says how another implementation checks it.
type vector struct {
	Name       string             `json:"name"`
	KEM        KEM                `json:"kem"`
	Arc        string             `json:"arc"`
	Mid        string             `json:"mid"`
	ArchiveKey string             `json:"archive_private_key"`
	ArchivePub string             `json:"archive_public_key"`
	Kid        string             `json:"kid"`
	DeviceKey  stdjson.RawMessage `json:"device_private_jwk"`
	DevicePub  stdjson.RawMessage `json:"device_public_jwk"`
	DeviceKid  string             `json:"device_kid"`
	Dir        []string           `json:"dir_events"`
	EnrolPub   stdjson.RawMessage `json:"enrolment_public_jwk"`
	Header     string             `json:"header"`
	Payload    string             `json:"payload"`
	JWS        string             `json:"jws"`
	Digest     string             `json:"digest"`
	Padded     int                `json:"plaintext_bytes"`
	Envelope   string             `json:"envelope"`
	EnvSHA256  string             `json:"envelope_sha256"`
}

// An attachmentVector is one sealed file; content is the byte i·7 + ⌊i/256⌋ mod 256 at place i.
type attachmentVector struct {
	Size     int64  `json:"size"`
	Key      string `json:"key"`
	Sealed   int64  `json:"sealed_bytes"`
	CTSHA256 string `json:"ct_sha256"`
}

const attachmentsFile = "testdata/attachments.json"

func vectorFile(kem KEM, alg string) string {
	return filepath.Join("testdata", strings.ToLower(fmt.Sprintf("%v-%s.json", kem, alg)))
}

func TestVectors(t *testing.T) {
	if *update {
		writeVectors(t)
	}
	for _, kem := range allKEMs {
		for _, alg := range algs {
			b := must[[]byte](t)(os.ReadFile(vectorFile(kem, alg)))
			var v vector
			if err := stdjson.Unmarshal(b, &v); err != nil {
				t.Fatal(err)
			}
			if v.KEM != kem {
				t.Errorf("%s: KEM %v", v.Name, v.KEM)
			}
			checkVector(t, &v, alg)
		}
	}
}

func checkVector(t *testing.T, v *vector, alg string) {
	t.Helper()
	key := must[*PrivateKey](t)(NewPrivateKey(v.KEM, must[[]byte](t)(jws.DecodeB64(v.ArchiveKey))))
	if key.KID() != v.Kid || jws.EncodeB64(key.Public().Bytes) != v.ArchivePub {
		t.Errorf("%s: the archive's public key or kid", v.Name)
	}
	opener := &Opener{Arc: v.Arc, AllowX25519: true, Key: func(kid string) (*PrivateKey, bool) { return key, kid == v.Kid }}
	dir := NewDirectory(v.Arc, Pins{Enrol: must[crypto.PublicKey](t)(jws.ParseJWK(v.EnrolPub))})
	for i, data := range v.Dir {
		at := Position{0, uint64(i + 1)}
		verdict := dir.Judge(at, []byte(data))
		if !verdict.Accepted || verdict.Op == OpDeviceAdd && verdict.Assurance != Enrolled {
			t.Errorf("%s: %+v", v.Name, verdict)
		}
		if err := dir.Apply(at, []byte(data), verdict); err != nil {
			t.Fatal(err)
		}
	}
	o, err := opener.Open([]byte(v.Envelope))
	if err != nil {
		t.Fatalf("%s: %v", v.Name, err)
	}
	m, err := dir.Verify(o, Position{0, uint64(len(v.Dir) + 1)})
	if err != nil {
		t.Fatalf("%s: %v", v.Name, err)
	}
	header := must[[]byte](t)(jws.DecodeB64(strings.Split(v.Envelope, ".")[1]))
	c := must[*jws.Compact](t)(jws.Parse(m.JWS, TypMessage))
	for what, ok := range map[string]bool{
		"header": string(header) == v.Header, "jws": string(m.JWS) == v.JWS, "payload": string(c.Payload) == v.Payload, "alg": c.Header.Alg == alg,
		"digest": jws.EncodeB64(m.Digest[:]) == v.Digest, "envelope hash": jws.EncodeB64(o.Hash[:]) == v.EnvSHA256,
		"padding": len(o.padded) == v.Padded, "mid": m.Payload.Mid == v.Mid, "device": m.Device.Kid == v.DeviceKid,
	} {
		if !ok {
			t.Errorf("%s: %s differs", v.Name, what)
		}
	}
	// The device's key in the vector is a whole one and the one that signed, says another implementation.
	var priv jose.JSONWebKey
	if err := priv.UnmarshalJSON(v.DeviceKey); err != nil {
		t.Fatal(err)
	}
	pub := priv.Public()
	sig, err := jose.ParseSignedCompact(v.JWS, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(alg)})
	if err != nil {
		t.Fatal(err)
	}
	if payload, err := sig.Verify(pub.Key); err != nil || string(payload) != v.Payload {
		t.Errorf("%s: go-jose: %v", v.Name, err)
	}
}

func TestAttachmentVectors(t *testing.T) {
	var vs []attachmentVector
	if err := stdjson.Unmarshal(must[[]byte](t)(os.ReadFile(attachmentsFile)), &vs); err != nil {
		t.Fatal(err)
	}
	if len(vs) != 5 {
		t.Fatalf("%d attachment vectors", len(vs))
	}
	for _, v := range vs {
		var out bytes.Buffer
		sum, size, err := SealAttachment(&out, bytes.NewReader(content(int(v.Size))), [32]byte(must[[]byte](t)(jws.DecodeB64(v.Key))))
		if err != nil || size != v.Size || int64(out.Len()) != v.Sealed || jws.EncodeB64(sum[:]) != v.CTSHA256 {
			t.Errorf("%d bytes: %d sealed, %x, %v", v.Size, out.Len(), sum, err)
		}
	}
}

func writeVectors(t *testing.T) {
	for i, kem := range allKEMs {
		for j, alg := range algs {
			v := makeVector(t, kem, alg, i*len(algs)+j)
			writeJSON(t, vectorFile(kem, alg), v)
		}
	}
	var vs []attachmentVector
	for i, size := range []int64{0, 1, ChunkSize, ChunkSize + 1, 3 * ChunkSize} {
		key := sha256.Sum256([]byte{byte(i)})
		sum, _, err := SealAttachment(new(bytes.Buffer), bytes.NewReader(content(int(size))), key)
		if err != nil {
			t.Fatal(err)
		}
		vs = append(vs, attachmentVector{size, jws.EncodeB64(key[:]), SealedSize(size), jws.EncodeB64(sum[:])})
	}
	writeJSON(t, attachmentsFile, vs)
}

func writeJSON(t *testing.T, file string, v any) {
	var out bytes.Buffer
	enc := stdjson.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, out.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

func makeVector(t *testing.T, kem KEM, alg string, i int) *vector {
	archive := must[*PrivateKey](t)(GenerateKey(kem))
	device, enrol := newSigner(t, alg), newSigner(t, jws.EdDSA)
	p := message("u-17", "d-4")
	p.Mid = id16(byte(0x10 + i))
	p.Body = &Body{Text: []string{"¿Puede venir? Cama 12, TA 90/60.", "三床病人血压90/60,请速来。", "Bed 12: BP 90/60, please come."}[i%3]}
	if i%2 == 1 {
		p.Body.Text += strings.Repeat(" Fluids running.", 200) // above 4,096 bytes, where the padding is coarser
	}
	compact := must[[]byte](t)(SignMessage(device, p))
	env := must[[]byte](t)(Seal(archive.Public(), testArc, p.Mid, compact))
	c := must[*jws.Compact](t)(jws.Parse(compact, TypMessage))
	digest, envSum := c.Digest(), sha256.Sum256(env)
	return &vector{
		Name: fmt.Sprintf("%v, %s", kem, alg), KEM: kem, Arc: testArc, Mid: p.Mid,
		ArchiveKey: jws.EncodeB64(must[[]byte](t)(archive.Bytes())), ArchivePub: jws.EncodeB64(archive.Public().Bytes), Kid: archive.KID(),
		DeviceKey: must[[]byte](t)(jose.JSONWebKey{Key: device}.MarshalJSON()),
		DevicePub: must[[]byte](t)(jws.MarshalJWK(device.Public())), DeviceKid: c.Header.Kid,
		Dir: []string{
			string(must[[]byte](t)(UserUpsertEvent(User{"u-17", "ana.ruiz@h.example", "ana.ruiz@h.example", "Ana Ruiz"}))),
			string(must[[]byte](t)(DeviceAdd{Arc: testArc, Usr: "u-17", Dev: "d-4", At: noon, Key: device, By: enrol}.Event())),
		},
		EnrolPub: must[[]byte](t)(jws.MarshalJWK(enrol.Public())),
		Header:   string(must[[]byte](t)(jws.DecodeBytes(bytes.Split(env, []byte("."))[1]))),
		Payload:  string(c.Payload), JWS: string(compact), Digest: jws.EncodeB64(digest[:]), Padded: paddedLen(len(compact)),
		Envelope: string(env), EnvSHA256: jws.EncodeB64(envSum[:]),
	}
}
