package vbs_test

import (
	"bytes"
	"crypto/rsa"
	"encoding/hex"
	"errors"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/tpm/eventlog"
	"github.com/assay-attestation/assay/evidence/tpm/sipa"
	"github.com/assay-attestation/assay/evidence/vbs"
	"github.com/assay-attestation/assay/internal/vectortest"
)

// vector is a case of vectors/tpm/vbs/index.json.
type vector struct {
	ID, Report, Log, Expect, Note, Code string
	EnclaveData                         string `json:"enclave_data"`
	Facts                               *facts
}

type facts struct {
	OwnerID   string `json:"owner_id"`
	UniqueID  string `json:"unique_id"`
	AuthorID  string `json:"author_id"`
	FamilyID  string `json:"family_id"`
	ImageID   string `json:"image_id"`
	SVN       uint32 `json:"enclave_svn"`
	KernelSVN uint32 `json:"secure_kernel_svn"`
	Platform  uint32 `json:"platform_svn"`
	Flags     uint32 `json:"flags"`
	Level     uint32 `json:"signing_level"`
	Type      uint32 `json:"enclave_type"`
	Modules   []struct {
		Name     string
		UniqueID string `json:"unique_id"`
		AuthorID string `json:"author_id"`
		SVN      uint32
	}
}

// checkOf maps the reason classes of the index to the checks that refuse.
func checkOf(code string) evidence.Check {
	return map[string]evidence.Check{
		"SIGNATURE": evidence.VBSSignature, "ENCLAVE_DATA": evidence.VBSBinding,
		"VERSION": evidence.VBSFormat, "SCHEME": evidence.VBSFormat, "LENGTH": evidence.VBSFormat,
	}[code]
}

func vectors(t testing.TB) []vector {
	t.Helper()
	var list []vector
	vectortest.ReadJSON(t, "tpm/vbs/index.json", &list)
	if len(list) == 0 {
		vectortest.NoCase(t, "case in tpm/vbs/index.json")
	}
	return list
}

func (v *vector) report(t testing.TB) []byte { return vectortest.Read(t, "tpm/vbs/"+v.Report) }

func (v *vector) data(t testing.TB) [64]byte {
	t.Helper()
	b, err := hex.DecodeString(v.EnclaveData)
	if err != nil || len(b) != 64 {
		t.Fatalf("%s: enclave_data %q: %v", v.ID, v.EnclaveData, err)
	}
	return [64]byte(b)
}

// keys are the keys that the log of the case measures in PCR 12.
func (v *vector) keys(t testing.TB) []*rsa.PublicKey {
	t.Helper()
	log, err := eventlog.Parse(vectortest.Read(t, path.Join("tpm/vbs", v.Log)), eventlog.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	var keys []*rsa.PublicKey
	for _, r := range log.Records() {
		if r.Type != eventlog.EventTag || r.PCR != 12 {
			continue
		}
		elements, err := sipa.Parse(r.Data, sipa.DefaultDepth)
		if err != nil {
			t.Fatal(err)
		}
		sipa.Find(elements, sipa.VSMIDKSInfo, func(e sipa.Element) {
			k, err := sipa.ParseIDKS(e.Payload)
			if err != nil {
				t.Fatal(err)
			}
			keys = append(keys, k.PublicKey())
		})
	}
	return keys
}

func verify(report []byte, keys []*rsa.PublicKey, data [64]byte) (*vbs.Verified, error) {
	r, err := vbs.Parse(report)
	if err != nil {
		return nil, err
	}
	return r.Verify(keys, data)
}

func TestVectors(t *testing.T) {
	for _, v := range vectors(t) {
		t.Run(v.ID, func(t *testing.T) {
			got, err := verify(v.report(t), v.keys(t), v.data(t))
			if strings.HasPrefix(v.Expect, "accept") {
				if err != nil {
					t.Fatalf("%s: %v", v.Note, err)
				}
				if debug := strings.Contains(v.Expect, "debug"); got.Identity.Debuggable() != debug {
					t.Errorf("debuggable: %v, want %v", !debug, debug)
				}
				if v.Facts != nil {
					v.Facts.compare(t, got)
				}
				return
			}
			if want := checkOf(v.Code); want == "" || got != nil {
				t.Errorf("code %q, got %v", v.Code, got)
			} else {
				refused(t, v.Note, err, want, "")
			}
		})
	}
}

// refused checks that err is a refusal by the check that says why, and what to do.
func refused(t testing.TB, what string, err error, check evidence.Check, why string) {
	t.Helper()
	var r *evidence.Refusal
	if !errors.As(err, &r) || r.Check != check || !strings.Contains(err.Error(), why) {
		t.Errorf("%s: %v, want a refusal of %s with %q", what, err, check, why)
		return
	}
	if r.Remedy == "" {
		t.Errorf("%s: the refusal says not what to do: %v", what, err)
	}
}

func (f *facts) compare(t *testing.T, v *vbs.Verified) {
	t.Helper()
	id := v.Identity
	same := func(what, want string, got []byte) {
		if hex.EncodeToString(got) != want {
			t.Errorf("%s is %x, want %s", what, got, want)
		}
	}
	same("owner id", f.OwnerID, id.OwnerID[:])
	same("unique id", f.UniqueID, id.UniqueID[:])
	same("author id", f.AuthorID, id.AuthorID[:])
	same("family id", f.FamilyID, id.FamilyID[:])
	same("image id", f.ImageID, id.ImageID[:])
	got := []uint32{id.EnclaveSVN, id.SecureKernelSVN, id.PlatformSVN, id.Flags, id.SigningLevel, id.Type}
	if want := []uint32{f.SVN, f.KernelSVN, f.Platform, f.Flags, f.Level, f.Type}; !slices.Equal(got, want) {
		t.Errorf("numbers are %v, want %v", got, want)
	}
	if len(v.Modules) != len(f.Modules) {
		t.Fatalf("%d modules, want %d", len(v.Modules), len(f.Modules))
	}
	for i, m := range f.Modules {
		got := v.Modules[i]
		same("module unique id", m.UniqueID, got.UniqueID[:])
		same("module author id", m.AuthorID, got.AuthorID[:])
		if got.Name != m.Name || got.SVN != m.SVN {
			t.Errorf("module %q of svn %d, want %q of %d", got.Name, got.SVN, m.Name, m.SVN)
		}
	}
}

// FuzzParse: what is accepted is exactly as long as it says, and nobody signed it but who signed a vector.
func FuzzParse(f *testing.F) {
	seeds := map[string]bool{}
	for _, v := range vectors(f) {
		f.Add(v.report(f))
		seeds[string(v.report(f))] = true
	}
	first := vectors(f)[0]
	keys, data := first.keys(f), first.data(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		before := bytes.Clone(b)
		v, err := verify(b, keys, data)
		if !bytes.Equal(before, b) {
			t.Fatal("the input was changed")
		}
		if v != nil && err == nil && !seeds[string(resetReserved(b))] {
			t.Errorf("forged: %x", b)
		}
		var r *evidence.Refusal
		if err != nil && !errors.As(err, &r) {
			t.Errorf("no refusal: %v", err)
		}
	})
}

// resetReserved clears the only bytes of a report that have no meaning and are not signed.
func resetReserved(b []byte) []byte {
	b = bytes.Clone(b)
	copy(b[20:24], make([]byte, 4))
	return b
}
