package assaytest_test

import (
	"bytes"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/assay-attestation/assay/assaytest"
	"github.com/assay-attestation/assay/evidence/snp"
)

// fetch asks a handler.
func fetch(h http.Handler, path string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
	return w
}

func newKDS() *assaytest.KDS {
	return assaytest.NewKDS(amd(), func() time.Time { return now })
}

// vcekPath is the request for the VCEK of the simulated chip at its TCB.
func vcekPath(p assaytest.AMDProduct) string {
	chip, tcb := assaytest.SimulatedChip(p), assaytest.SimulatedTCB(p)
	hwid, fmc := hex.EncodeToString(chip[:]), ""
	if p == assaytest.Turin {
		hwid, fmc = hwid[:16], fmt.Sprintf("&fmcSPL=%02d", tcb.FMC)
	}
	return fmt.Sprintf("/vcek/v1/%s/%s?blSPL=%02d&teeSPL=%02d&snpSPL=%02d&ucodeSPL=%02d%s", p, hwid, tcb.BootLoader, tcb.TEE, tcb.SNP, tcb.Microcode, fmc)
}

// What the service hands out completes a report that came without certificates.
func TestKDSHandsOutWhatAReportNeeds(t *testing.T) {
	k := newKDS()
	for _, p := range assaytest.AMDProducts() {
		vcek, chain, list := fetch(k, vcekPath(p)), fetch(k, "/vcek/v1/"+string(p)+"/cert_chain"), fetch(k, "/vcek/v1/"+string(p)+"/crl")
		s := amd().Scenario(p, now)
		report, err := s.Report()
		if err != nil {
			t.Fatal(err)
		}
		r, err := snp.ParseReport(report)
		if err != nil {
			t.Fatal(err)
		}
		leaf := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: vcek.Body.Bytes()})
		c, err := snp.ParseChain(append(leaf, chain.Body.Bytes()...))
		if err != nil {
			t.Fatalf("%s: %d %v", p, vcek.Code, err)
		}
		roots, err := amdRoots(amd(), p)
		if err != nil {
			t.Fatal(err)
		}
		crl, err := roots.CRL(list.Body.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		signer, err := roots.Trace(c, snp.Options{At: now})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := snp.Verify(r, signer, snp.Options{At: now, Revocations: []*snp.CRL{crl}}); err != nil {
			t.Errorf("%s: %v", p, err)
		}
	}
	if got := []int{k.Requests(assaytest.AMDCertificate), k.Requests(assaytest.AMDChainOfKDS), k.Requests(assaytest.AMDCRL), k.TotalRequests()}; fmt.Sprint(got) != "[3 3 3 9]" {
		t.Errorf("counted %v, want 3 of each and 9", got)
	}
}

func TestKDSChainIsAuthorityThenRoot(t *testing.T) {
	for path, want := range map[string][]string{"/vcek/v1/Genoa/cert_chain": {"SEV-Genoa", "ARK-Genoa"}, "/vlek/v1/Genoa/cert_chain": {"SEV-VLEK-Genoa", "ARK-Genoa"}} {
		rest := fetch(newKDS(), path).Body.Bytes()
		for _, name := range want {
			var block *pem.Block
			if block, rest = pem.Decode(rest); block == nil {
				t.Fatalf("%s: no certificate for %s", path, name)
			}
			cert, err := x509.ParseCertificate(block.Bytes)
			if err != nil || cert.Subject.CommonName != name {
				t.Errorf("%s: got %v, %v; want %s", path, cert.Subject, err, name)
			}
		}
		if len(rest) > 0 {
			t.Errorf("%s: %d bytes behind the chain", path, len(rest))
		}
	}
}

func TestKDSRefusesWhatItDoesNotKnow(t *testing.T) {
	k, milan := newKDS(), vcekPath(assaytest.Milan)
	other := []byte(milan)
	other[len("/vcek/v1/Milan/")] ^= 1
	for path, want := range map[string]int{
		"/vcek/v1/Rome/cert_chain": 404, "/vcek/v1/Rome/crl": 404, string(other): 404, "/vlek" + milan[5:]: 404,
		"/vcek/v1/Milan/00": 400, milan + "&fmcSPL=01": 400, milan + "x": 400, vcekPath(assaytest.Turin)[:40]: 400,
		before(milan, "?"): 400, strings.Replace(milan, "teeSPL=01", "teeSPL=1", 1): 400, strings.Replace(milan, "teeSPL=01", "teeSPL=256", 1): 400,
	} {
		if got := fetch(k, path); got.Code != want {
			t.Errorf("%s: got %d, want %d", path, got.Code, want)
		}
	}
}

func before(s, sep string) string {
	head, _, _ := strings.Cut(s, sep)
	return head
}

func TestKDSFailsAsToldAndRecovers(t *testing.T) {
	k, path := newKDS(), vcekPath(assaytest.Milan)
	k.Fail(assaytest.AMDCertificate, assaytest.Failure{Status: http.StatusTooManyRequests, RetryAfter: 10 * time.Second})
	if got := fetch(k, path); got.Code != 429 || got.Header().Get("Retry-After") != "10" {
		t.Errorf("got %d, Retry-After %q; want 429 and 10", got.Code, got.Header().Get("Retry-After"))
	}
	if got := fetch(k, "/vcek/v1/Milan/cert_chain"); got.Code != 200 {
		t.Errorf("another item: got %d, want 200", got.Code)
	}
	k.Alter(func(s *assaytest.AMDScenario) { s.Chip[0] ^= 1 })
	k.Fail(assaytest.AMDCertificate, assaytest.Failure{})
	if got := fetch(k, path); got.Code != 404 {
		t.Errorf("of another chip: got %d, want 404", got.Code)
	}
	k.Recover()
	if got := fetch(k, path); got.Code != 200 || k.Requests(assaytest.AMDCertificate) != 3 {
		t.Errorf("recovered: got %d after %d requests, want 200 after 3", got.Code, k.Requests(assaytest.AMDCertificate))
	}
}

func TestTableHoldsTheChain(t *testing.T) {
	for _, vlek := range []bool{false, true} {
		s := amd().Scenario(assaytest.Genoa, now)
		if vlek {
			s.UseVLEK()
		}
		table, err := s.Table()
		if err != nil {
			t.Fatal(err)
		}
		fromTable, err := snp.ParseTable(table)
		if err != nil {
			t.Fatal(err)
		}
		leaf, err := s.Certificate(s.Key)
		if err != nil || !bytes.Equal(fromTable.Leaf.Raw, leaf) || len(fromTable.Others) != 2 {
			t.Errorf("VLEK %t: %v, and %d others; want the leaf of the chain and 2", vlek, err, len(fromTable.Others))
		}
	}
}
