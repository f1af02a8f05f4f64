package sgx_test

import (
	"crypto/x509"
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/assay-attestation/assay/assaytest"
	"github.com/assay-attestation/assay/evidence/dcap"
	"github.com/assay-attestation/assay/evidence/sgx"
	"github.com/assay-attestation/assay/internal/dcaptest"
	"github.com/assay-attestation/assay/internal/vectortest"
)

// collateralHashes is the file of known answers: each hash stands in a token that Microsoft's service signed.
const collateralHashes = "dcap/azure/maa-collateral-hashes.json"

// knownHashes reads the seven hashes, the quote, and the collateral that the file says they are over.
func knownHashes(t *testing.T) (want map[string]string, quote []byte, files map[string][]byte) {
	t.Helper()
	var known struct {
		Quote  string
		Claims map[string]struct{ SHA256, Over string }
	}
	vectortest.ReadJSON(t, collateralHashes, &known)
	want = map[string]string{}
	dir := ""
	for name, c := range known.Claims {
		want[name] = c.SHA256
		if m := regexp.MustCompile(`^collateral/[^/ ]+`).FindString(c.Over); m != "" {
			dir = m
		}
	}
	return want, vectortest.Read(t, path.Join(path.Dir(collateralHashes), known.Quote)), dcaptest.Folder(t, path.Join("dcap", dir))
}

func TestCollateralHashesOfARealToken(t *testing.T) {
	want, quote, files := knownHashes(t)
	v := verifyAzure(t, quote, files, inForce(t, files["root_ca_crl.der"], files["pck_crl.der"]))
	for _, name := range []string{"x-ms-sgx-collateral", "maa-attestationcollateral"} {
		equalHashes(t, name, dcaptest.Claims(v.Claims())[name], want)
	}
}

// However the documents come, the hashes are over the form in which the service had them.
func TestCollateralHashesDoNotDependOnPaddingOrForm(t *testing.T) {
	want, quote, files := knownHashes(t)
	at := inForce(t, files["root_ca_crl.der"], files["pck_crl.der"])
	crlf := func(b []byte) []byte { return []byte(strings.ReplaceAll(string(b), "\n", "\r\n")) }
	files["tcb_info.json"] = append(files["tcb_info.json"], '\n')
	files["qe_identity.json"] = append(files["qe_identity.json"], 0)
	files["tcb_info_issuer_chain.pem"] = crlf(files["tcb_info_issuer_chain.pem"])
	files["qe_identity_issuer_chain.pem"] = append(files["qe_identity_issuer_chain.pem"], 0)
	files["root_ca_crl.der"] = assaytest.CRLHex(files["root_ca_crl.der"])
	equalHashes(t, "in other forms", dcaptest.Claims(verifyAzure(t, quote, files, at).Claims())["x-ms-sgx-collateral"], want)
}

// inForce is a time from which on all of the CRLs are in force.
func inForce(t *testing.T, crls ...[]byte) (at time.Time) {
	t.Helper()
	for _, der := range crls {
		list, err := x509.ParseRevocationList(der)
		if err != nil {
			t.Fatal(err)
		}
		if list.ThisUpdate.After(at) {
			at = list.ThisUpdate
		}
	}
	return at
}

// verifyAzure verifies a quote with collateral of the kind that Azure has stored.
func verifyAzure(t *testing.T, quote []byte, files map[string][]byte, at time.Time) *sgx.Verified {
	t.Helper()
	verifier := dcap.NewVerifier(dcap.IntelRoots())
	e, err := sgx.Parse(quote)
	if err != nil {
		t.Fatal(err)
	}
	o, err := verifier.Trace(e.Quote, at, nil)
	if err != nil {
		t.Fatal(err)
	}
	c, err := dcaptest.Load(verifier, o, files)
	if err != nil {
		t.Fatal(err)
	}
	v, err := sgx.Verify(verifier, o, e, dcap.Input{Collateral: c, Options: dcap.Options{At: at, Expiry: dcap.Pinned}})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func equalHashes(t *testing.T, what string, claim any, want map[string]string) {
	t.Helper()
	raw, ok := claim.(jsontext.Value)
	if !ok {
		t.Fatalf("%s: the claim is %T, want a JSON object", what, claim)
	}
	var got map[string]string
	if err := json.Unmarshal(raw, &got); err != nil {
		t.Fatal(err)
	}
	for name := range want {
		if got[name] != want[name] {
			t.Errorf("%s: %s is %s, want %s", what, name, got[name], want[name])
		}
	}
	if len(got) != len(want) {
		t.Errorf("%s: members %v, want %v", what, slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)))
	}
}

// kss is an enclave that uses Key Separation and Sharing.
func kss(s *assaytest.Scenario) {
	s.Enclave.KSS = true
	s.Enclave.ConfigSVN = 0x1234
	s.Enclave.ConfigID[63], s.Enclave.ExtProdID[0], s.Enclave.FamilyID[15] = 0xAB, 0xCD, 0xEF
	s.Enclave.ProdID, s.Enclave.SVN = 0xFFFF, 0x0102
}

func TestClaims(t *testing.T) {
	l := newLab(t)
	always := []string{"x-ms-attestation-type", "x-ms-sgx-is-debuggable", "x-ms-sgx-product-id", "x-ms-sgx-svn",
		"x-ms-sgx-mrenclave", "x-ms-sgx-mrsigner", "x-ms-sgx-report-data", "x-ms-sgx-collateral", "maa-attestationcollateral"}
	withKSS := append(slices.Clone(always), "x-ms-sgx-config-id", "x-ms-sgx-config-svn", "x-ms-sgx-isv-extended-product-id", "x-ms-sgx-isv-family-id")
	for _, tt := range []struct {
		what   string
		change func(*assaytest.Scenario)
		names  []string
		values map[string]any
	}{
		{"release", func(*assaytest.Scenario) {}, always, map[string]any{
			"x-ms-attestation-type": "sgx", "x-ms-sgx-is-debuggable": false, "x-ms-sgx-product-id": int64(1), "x-ms-sgx-svn": int64(2)}},
		{"debug", func(s *assaytest.Scenario) { s.Enclave.Debug = true }, always, map[string]any{"x-ms-sgx-is-debuggable": true}},
		{"KSS fields without KSS", func(s *assaytest.Scenario) { kss(s); s.Enclave.KSS = false }, always, nil},
		{"KSS", kss, withKSS, map[string]any{
			"x-ms-sgx-product-id": int64(0xFFFF), "x-ms-sgx-svn": int64(0x0102), "x-ms-sgx-config-svn": int64(0x1234),
			"x-ms-sgx-config-id":               strings.Repeat("00", 63) + "ab",
			"x-ms-sgx-isv-extended-product-id": "cd" + strings.Repeat("00", 15),
			"x-ms-sgx-isv-family-id":           strings.Repeat("00", 15) + "ef",
		}},
	} {
		for version := uint16(3); version <= 5; version++ {
			v, err := l.judge(l.scenario(tt.change, func(s *assaytest.Scenario) { s.QuoteVersion = version }))
			if err != nil {
				t.Fatalf("%s: %v", tt.what, err)
			}
			got := dcaptest.Claims(v.Claims())
			if names := slices.Sorted(maps.Keys(got)); !slices.Equal(names, slices.Sorted(slices.Values(tt.names))) {
				t.Errorf("%s, version %d: claims %v, want %v", tt.what, version, names, tt.names)
			}
			for name, want := range tt.values {
				if got[name] != want {
					t.Errorf("%s, version %d: %s is %#v, want %#v", tt.what, version, name, got[name], want)
				}
			}
			if want := fmt.Sprintf("%x", l.scenario(tt.change).Enclave.MRENCLAVE); got["x-ms-sgx-mrenclave"] != want {
				t.Errorf("%s, version %d: MRENCLAVE %v, want %s", tt.what, version, got["x-ms-sgx-mrenclave"], want)
			}
		}
	}
}
