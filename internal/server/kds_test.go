package server_test

import (
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/assay-attestation/assay/assaytest"
	"github.com/assay-attestation/assay/internal/config"
	"github.com/assay-attestation/assay/internal/provider"
)

// keyService is a simulated AMD with its key service on a port of its own.
type keyService struct {
	*assaytest.KDS
	amd   *assaytest.AMD
	url   string
	roots []string // files
}

func startKeyService(t *testing.T) *keyService {
	t.Helper()
	amd := assaytest.NewAMD()
	k := &keyService{KDS: assaytest.NewKDS(amd, nil), amd: amd}
	upstream := httptest.NewServer(k.KDS)
	t.Cleanup(upstream.Close)
	k.url = upstream.URL
	for _, p := range []assaytest.AMDProduct{assaytest.Milan, assaytest.Turin} {
		for _, r := range []assaytest.AMDRole{assaytest.ASK, assaytest.ARK} {
			k.roots = append(k.roots, tempFile(t, string(certificatePEM(t, k.guest(p), r))))
		}
	}
	return k
}

func certificatePEM(t *testing.T, s *assaytest.AMDScenario, r assaytest.AMDRole) []byte {
	t.Helper()
	der, err := s.Certificate(r)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// guest is a sound guest on the simulated chip.
func (k *keyService) guest(p assaytest.AMDProduct, edits ...func(*assaytest.AMDScenario)) *assaytest.AMDScenario {
	s := k.amd.Scenario(p, time.Now())
	for _, edit := range edits {
		edit(s)
	}
	return s
}

// config is a service that trusts the simulated AMD and may ask its key service.
func (k *keyService) config(data string, settings provider.SNPSettings) config.Config {
	return config.Config{Data: data, AMDRoots: k.roots, AMDKeyService: k.url, Settings: provider.Settings{SNPSettings: settings}}
}

// attestGuest sends a report with a chain, or with none.
func (s *testService) attestGuest(t *testing.T, sc *assaytest.AMDScenario, chain []byte) answer {
	t.Helper()
	report, err := sc.Report()
	if err != nil {
		t.Fatal(err)
	}
	return s.guest(t, body{"report": wrapped(report, chain, nil)})
}

// asked checks how many requests for VCEKs have come, and that there were no others.
func (k *keyService) asked(t *testing.T, want int) {
	t.Helper()
	if got := k.Requests(assaytest.AMDCertificate); got != want || k.TotalRequests() != want {
		t.Errorf("%d requests for VCEKs of %d, want %d", got, k.TotalRequests(), want)
	}
}

// TestSwitchOfTheKeyService: snp_kds off and on.
func TestSwitchOfTheKeyService(t *testing.T) {
	k := startKeyService(t)
	off := start(t, k.config("", provider.SNPSettings{}))
	on := start(t, k.config("", provider.SNPSettings{FetchChains: true}))
	for _, p := range []assaytest.AMDProduct{assaytest.Milan, assaytest.Turin} {
		before := k.TotalRequests()
		off.attestGuest(t, k.guest(p), nil).refused(t, http.StatusBadRequest, "InvalidParameter", "", "VcekCertChain", "snp_kds")
		k.asked(t, before)
		chain, err := k.guest(p).ChainPEM()
		if err != nil {
			t.Fatal(err)
		}
		on.attestGuest(t, k.guest(p), chain).claims(t)
		k.asked(t, before)
		for range 2 {
			if claims := on.attestGuest(t, k.guest(p), nil).claims(t); fmt.Sprint(claims["x-ms-sevsnpvm-microcode-svn"]) != "219" {
				t.Errorf("claims: %v, want those of the simulated guest", claims)
			}
			k.asked(t, before+1)
		}
	}
	if log := on.log.String(); strings.Count(log, "AMD's key service gave a certificate") != 2 {
		t.Errorf("the log does not have a line for each certificate: %s", log)
	}
}

// TestKeyServiceFails: known chips are attested all the while, also after a restart; others are asked to come back.
func TestKeyServiceFails(t *testing.T) {
	k := startKeyService(t)
	data := t.TempDir()
	cfg := k.config(data, provider.SNPSettings{FetchChains: true})
	s := start(t, cfg)
	s.attestGuest(t, k.guest(assaytest.Milan), nil).claims(t)
	k.Fail(assaytest.AMDCertificate, assaytest.Failure{Status: http.StatusTooManyRequests, RetryAfter: 7 * time.Minute})
	for range 2 {
		a := s.attestGuest(t, k.guest(assaytest.Turin), nil)
		a.refused(t, http.StatusServiceUnavailable, "CollateralUnavailable", "", "Turin")
		if got := a.retryAfter(t); got < 6*60 || got > 7*60 {
			t.Errorf("Retry-After: got %d, want up to %d", got, 7*60)
		}
		if strings.Contains(string(a.body), k.url) {
			t.Errorf("the address of the key service is in the answer: %s", a.body)
		}
		s.attestGuest(t, k.guest(assaytest.Milan), nil).claims(t)
		k.asked(t, 2)
	}
	s.stop()
	s = start(t, cfg)
	s.attestGuest(t, k.guest(assaytest.Milan), nil).claims(t)
	k.asked(t, 2)
}

// TestKeyServiceKnowsNone: faults of the evidence.
func TestKeyServiceKnowsNone(t *testing.T) {
	k := startKeyService(t)
	s := start(t, k.config("", provider.SNPSettings{FetchChains: true}))
	other := k.guest(assaytest.Milan, func(sc *assaytest.AMDScenario) { sc.Chip[0]++ })
	s.attestGuest(t, other, nil).refused(t, http.StatusBadRequest, "InvalidParameter", "", hex.EncodeToString(other.Chip[:]), "microcode 219")
	k.asked(t, 1)
	s.attestGuest(t, k.guest(assaytest.Milan, (*assaytest.AMDScenario).UseVLEK), nil).
		refused(t, http.StatusBadRequest, "InvalidParameter", "", "VLEK", "VcekCertChain")
	s.attestGuest(t, k.guest(assaytest.Milan, func(sc *assaytest.AMDScenario) { sc.MaskChip = true }), nil).
		refused(t, http.StatusBadRequest, "InvalidParameter", "", "VcekCertChain")
	s.guest(t, body{"report": wrapped(make([]byte, 1184), nil, nil)}).refused(t, http.StatusBadRequest, "InvalidParameter", "")
	k.asked(t, 1)
}

// TestReportMustBeSignedByTheKeyThatWasFetched: anybody can name a chip.
func TestReportMustBeSignedByTheKeyThatWasFetched(t *testing.T) {
	k := startKeyService(t)
	s := start(t, k.config("", provider.SNPSettings{FetchChains: true}))
	forged := assaytest.NewAMD().Scenario(assaytest.Milan, time.Now())
	s.attestGuest(t, forged, nil).refused(t, http.StatusBadRequest, "InvalidParameter", "", "signed")
	s.attestGuest(t, k.guest(assaytest.Milan), nil).claims(t)
	k.asked(t, 1)
}

// TestStoredCertificatesOfAMD: a service with amd_certificates asks nobody.
func TestStoredCertificatesOfAMD(t *testing.T) {
	k := startKeyService(t)
	cfg := k.config("", provider.SNPSettings{FetchChains: true})
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "milan.pem"), certificatePEM(t, k.guest(assaytest.Milan), assaytest.VCEK), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg.AMDKeyService, cfg.AMDCertificates = "", []string{folder}
	s := start(t, cfg)
	s.attestGuest(t, k.guest(assaytest.Milan), nil).claims(t)
	s.attestGuest(t, k.guest(assaytest.Turin), nil).refused(t, http.StatusBadRequest, "InvalidParameter", "", "amd_certificates")
	k.asked(t, 0)
}
