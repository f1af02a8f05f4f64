package hcl

import (
	"crypto/rsa"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/internal/b64"
	"github.com/assay-attestation/assay/internal/jose"
	"github.com/assay-attestation/assay/internal/strictjson"
)

// Bounds of the runtime data. A real document has about 1200 bytes and one or two keys.
const (
	maxKeys     = 16
	maxExponent = 4                     // bytes
	maxModulus  = jose.MaxRSABits/8 + 1 // bytes
	maxShown    = 64                    // bytes of its text in a refusal
)

// What surrounds the document in a token, where it is x-ms-isolation-tee.x-ms-runtime: it must not nest too deep there either.
const (
	aboveInToken = `{"x-ms-isolation-tee":{"x-ms-runtime":`
	belowInToken = `}}`
)

// attestationKey is the kid of the vTPM's attestation key.
const attestationKey = "HCLAkPub"

// RuntimeData is the JSON document of the paravisor (azure-guest.md section 1), parsed; nothing is believed.
type RuntimeData struct {
	AK   *rsa.PublicKey // HCLAkPub
	VMID string         // vm-configuration.vmUniqueId, a GUID in upper case; empty: there is none, or another text
	JSON jsontext.Value // the document, to be shown in tokens: without white space, members sorted by name
}

// runtimeJSON has the members that are read. All others are data.
type runtimeJSON struct {
	Keys []keyJSON `json:"keys"`
	VM   struct {
		ID string `json:"vmUniqueId"`
	} `json:"vm-configuration"`
}

type keyJSON struct {
	KeyID      string   `json:"kid"`
	Operations []string `json:"key_ops"`
	Type       string   `json:"kty"`
	N          string   `json:"n"`
	Exponent   string   `json:"e"`
}

// ParseRuntimeData reads the document, exactly as it was hashed, of at most MaxSize bytes. Member names are matched letter by letter, and no member
// may stand twice. Among the keys, of which no two may have one kid, HCLAkPub must be: an RSA key of 2048 to 8192 bits with an odd exponent
// that is for signing, or as older paravisors wrote it for encryption. The other keys and members are not looked into. The error is an
// [evidence.Refusal] of HCLRuntime.
func ParseRuntimeData(b []byte) (*RuntimeData, error) {
	if len(b) > MaxSize {
		return nil, badRuntime("is too long").Want(fmt.Sprintf("at most %d bytes", MaxSize), len(b))
	}
	var in runtimeJSON
	if err := strictjson.Exact(b, &in); err != nil {
		return nil, badRuntime("is not the JSON that a paravisor writes").Because(err)
	}
	if err := strictjson.Check(slices.Concat([]byte(aboveInToken), b, []byte(belowInToken))); err != nil {
		return nil, badRuntime("nests too deep to stand in a token").Because(err)
	}
	m, r := in.find()
	if r != nil {
		return nil, r
	}
	key, r := m.key()
	if r != nil {
		return nil, r
	}
	compact, err := strictjson.Compact(b)
	if err != nil {
		return nil, badRuntime("is not JSON").Because(err)
	}
	return &RuntimeData{AK: key, VMID: vmID(in.VM.ID), JSON: compact}, nil
}

// find gives the attestation key, of keys that all have different names.
func (d *runtimeJSON) find() (found *keyJSON, _ *evidence.Refusal) {
	if len(d.Keys) > maxKeys {
		return nil, badRuntime("has too many keys").Want(fmt.Sprintf("at most %d", maxKeys), len(d.Keys))
	}
	seen := map[string]bool{}
	for i := range d.Keys {
		k := &d.Keys[i]
		if seen[k.KeyID] {
			return nil, badRuntime("has two keys of one name").Want("keys of different kid", "two of kid "+shown(k.KeyID))
		}
		seen[k.KeyID] = true
		if k.KeyID == attestationKey {
			found = k
		}
	}
	if found == nil {
		return nil, badRuntime("does not have the attestation key of the vTPM").Want("a key of kid "+attestationKey, "none")
	}
	return found, nil
}

// key reads the attestation key.
func (k *keyJSON) key() (*rsa.PublicKey, *evidence.Refusal) {
	if k.Type != "RSA" {
		return nil, badRuntime("has an attestation key that is not RSA").Want("kty RSA", shown(k.Type))
	}
	if !slices.Contains(k.Operations, "sign") && !slices.Contains(k.Operations, "encrypt") {
		return nil, badRuntime("has an attestation key for another use").Want(`key_ops ["sign"], or ["encrypt"]`, shown(strings.Join(k.Operations, " ")))
	}
	n, r := number("n", k.N, maxModulus)
	if r != nil {
		return nil, r
	}
	e, r := number("e", k.Exponent, maxExponent)
	if r != nil {
		return nil, r
	}
	if !e.IsInt64() || e.BitLen() > 31 {
		return nil, badRuntime("has an attestation key whose exponent is too large").Want("an odd number from 3 to 2147483647", e)
	}
	key := &rsa.PublicKey{N: n, E: int(e.Int64())}
	if err := jose.CheckRSA(key); err != nil {
		return nil, badRuntime("has an attestation key that cannot be used").Because(err)
	}
	return key, nil
}

// number reads an unsigned big-endian number of at most limit bytes, in base64url.
func number(name, text string, limit int) (*big.Int, *evidence.Refusal) {
	b, err := b64.DecodeURL(text)
	if err != nil {
		return nil, badRuntime("has an attestation key whose " + name + " cannot be read").Because(err)
	}
	if len(b) > limit {
		return nil, badRuntime("has an attestation key whose "+name+" is too long").Want(fmt.Sprintf("at most %d bytes", limit), len(b))
	}
	return new(big.Int).SetBytes(b), nil
}

// vmID gives the GUID in upper case, or nothing for another text.
func vmID(text string) string {
	const form = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx"
	if len(text) != len(form) {
		return ""
	}
	for i := range form {
		if dash := form[i] == '-'; dash != (text[i] == '-') || !dash && !strings.ContainsRune("0123456789abcdefABCDEF", rune(text[i])) {
			return ""
		}
	}
	return strings.ToUpper(text)
}

// shown quotes a text of the document for a refusal.
func shown(text string) string {
	if len(text) > maxShown {
		return strconv.QuoteToASCII(text[:maxShown]) + "…"
	}
	return strconv.QuoteToASCII(text)
}

// badRuntime refuses the document; the problem goes on from it.
func badRuntime(problem string) *evidence.Refusal {
	return evidence.Refuse(evidence.HCLRuntime, "the runtime data of the paravisor %s", problem).
		Do("send the runtime data as it stands in the HCL report of NV index 01400001, byte for byte")
}
