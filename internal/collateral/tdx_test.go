package collateral

import (
	"context"
	"errors"
	"net/http"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/assay-attestation/assay/evidence/dcap"
	"github.com/assay-attestation/assay/internal/vectortest"
)

// TestRequestsForTDXAreThoseOfTheService: TCB info and identity have a path of their own, of version 4; revocation lists do not (sgx-tdx.md section 6.1).
func TestRequestsForTDXAreThoseOfTheService(t *testing.T) {
	for base, want := range map[string]string{
		IntelPCS:                    "api.trustedservices.intel.com/tdx/certification/v4",
		"https://pccs.example:8081": "pccs.example:8081/tdx/certification/v4",
		"https://a.example/p/sgx/certification/v3":               "a.example/p/tdx/certification/v4",
		"http://169.254.169.254/metadata/THIM/sgx/certification": "169.254.169.254/metadata/THIM/tdx/certification/v4",
		"https://weu.thim.azure.net/tdx/certification/v4":        "weu.thim.azure.net/tdx/certification/v4",
	} {
		var got []string
		w := web(t, WebConfig{URL: base}, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			got = append(got, r.Host+r.URL.Path+"?"+r.URL.Query().Get("fmspc")+r.URL.Query().Get("update")+r.URL.Query().Get("tcbEvaluationDataNumber"))
		}))
		_, _, err := w.TCBInfo(t.Context(), dcap.TDX, fmspc, Standard)
		_, _, err2 := w.QEIdentity(t.Context(), dcap.TDX, "17")
		if all := []string{want + "/tcb?00906ED50000standard", want + "/qe/identity?17"}; !slices.Equal(got, all) || err == nil || err2 == nil {
			t.Errorf("%s:\n got %q\nwant %q", base, got, all)
		}
	}
}

// TestAddressOfAnUnknownFormIsOfSGXOnly: where collateral for TDX would be cannot be told.
func TestAddressOfAnUnknownFormIsOfSGXOnly(t *testing.T) {
	var asked []string
	w := web(t, WebConfig{URL: "https://cache.example/intel"}, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { asked = append(asked, r.URL.Path) }))
	_, _, err := w.TCBInfo(t.Context(), dcap.TDX, fmspc, Standard)
	if !errors.Is(err, ErrAbsent) || !strings.Contains(err.Error(), "/sgx/certification") {
		t.Errorf("got %v", err)
	}
	if calls(t, w, Standard); len(asked) != 4 || asked[0] != "/intel/v4/tcb" {
		t.Errorf("asked for %q", asked)
	}
}

// tdxCase is a recorded TDX quote with collateral that is sound for it.
func tdxCase(t *testing.T) (*dcap.Verifier, *dcap.Origin, *Set, time.Time) {
	t.Helper()
	v := dcap.NewVerifier(dcap.IntelRoots())
	for _, c := range readIndex(t).Cases {
		if c.Type == "tdx" && c.Verdict == "accept" && c.Policy == "strict" {
			s, err := ReadSet(vectortest.Path(t, c.Collateral))
			if err != nil {
				t.Fatal(err)
			}
			return v, trace(t, v, vectortest.Read(t, c.QuoteFile), c.Now), s, c.Now
		}
	}
	vectortest.NoCase(t, "TDX quote")
	return nil, nil, nil, time.Time{}
}

// TestCacheKeepsTheTEEsApart: what is stored of one is not taken for the other, in memory or on disk.
func TestCacheKeepsTheTEEsApart(t *testing.T) {
	v, o, s, now := tdxCase(t)
	dir := t.TempDir()
	cfg := Config{Source: s, Verifier: v, Clock: at(now), Dir: dir}
	c := New(cfg)
	docs, err := c.For(t.Context(), o, Standard)
	if err != nil || docs.TCBInfo.TEE() != dcap.TDX || docs.QEIdentity.ID() != "TD_QE" {
		t.Fatalf("got %+v, %v", docs, err)
	}
	c.Close()
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) != 4 {
		t.Fatalf("copies %q, %v", files, err)
	}
	for _, f := range files {
		name := path.Base(f)
		if isCRL := strings.Contains(name, "crl"); isCRL == strings.HasPrefix(name, tdxCopy) {
			t.Errorf("copy %s", name)
		}
	}
	cfg.Source = absent{}
	again := New(cfg)
	defer again.Close()
	if _, err := again.For(t.Context(), o, Standard); err != nil {
		t.Errorf("from the copies: %v", err)
	}
	sgx := wantTCBInfo(o, Standard)
	sgx.tee = dcap.SGX
	if _, err := get[*dcap.TCBInfo](t.Context(), again, sgx); err == nil {
		t.Error("TCB info for TDX was given for SGX")
	}
}

// absent is a source that has nothing.
type absent struct{}

func (absent) TCBInfo(context.Context, dcap.TEE, dcap.FMSPC, string) (doc, chain []byte, err error) {
	return nil, nil, ErrAbsent
}
func (absent) QEIdentity(context.Context, dcap.TEE, string) (doc, chain []byte, err error) {
	return nil, nil, ErrAbsent
}
func (absent) PCKCRL(context.Context, dcap.CAKind) ([]byte, error) { return nil, ErrAbsent }
func (absent) RootCRL(context.Context) ([]byte, error)             { return nil, ErrAbsent }

// TestDocumentsOfTheOtherTEEAreNotTaken has a source that answers with those of SGX.
func TestDocumentsOfTheOtherTEEAreNotTaken(t *testing.T) {
	v, o, s, now := tdxCase(t)
	for _, c := range readIndex(t).Collateral {
		if c.QEIdentity.ID != "QE" {
			continue
		}
		sgx, err := ReadSet(vectortest.Path(t, path.Join("dcap", c.Dir)))
		if err != nil {
			t.Fatal(err)
		}
		mixed := &Set{".", map[string][]byte{}}
		for name, b := range s.files {
			mixed.files[name] = b
		}
		for file, want := range map[string]string{tcbInfoFile: "for SGX platforms", qeIdentityFile: "the identity of QE"} {
			chain := strings.TrimSuffix(file, ".json") + "_issuer_chain.pem"
			mixed.files[file], mixed.files[chain] = sgx.files[file], sgx.files[chain]
			cache := New(Config{Source: mixed, Verifier: v, Clock: at(now), Pinned: true})
			_, err := cache.For(t.Context(), o, Standard)
			cache.Close()
			if u := unavailable(t, err); !strings.Contains(u.Error(), want) {
				t.Errorf("%s: got %v, want %q", file, u, want)
			}
			mixed.files[file], mixed.files[chain] = s.files[file], s.files[chain]
		}
		return
	}
}

// TestBaselinesForTDXCannotBeSelected: identifiers are of those for SGX (policy.md section 6), and a number that is stored for TDX only is none.
func TestBaselinesForTDXCannotBeSelected(t *testing.T) {
	v, o, s, now := tdxCase(t)
	b := NewBaselines(BaselinesConfig{Stored: []*Set{s}, Verifier: v, Clock: at(now)})
	defer b.Close()
	got, err := b.For(t.Context(), DefaultBaseline, o)
	if err != nil {
		t.Fatal(err)
	}
	id := decimal(got.Collateral.TCBInfo.EvaluationNumber())
	if err := b.Check(id); !errors.Is(err, ErrUnknownBaseline) || !strings.Contains(err.Error(), "stored: none") {
		t.Errorf("Check(%q): got %v", id, err)
	}
}
