//go:build cgo

package azureguest

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/edgelesssys/go-azguestattestation/maa"
	"github.com/google/go-tpm/legacy/tpm2"

	"github.com/assay-attestation/assay/assaytest"
)

// metadataHost is where Azure's metadata service is, seen from a guest.
const metadataHost = "169.254.169.254"

// network is what a guest reaches: the metadata service of its host, and the attestation service. It is the client's HttpClient.
type network struct {
	metadata    http.Handler
	attestation *http.Client
}

func (n network) Do(r *http.Request) (*http.Response, error) {
	if r.URL.Hostname() != metadataHost {
		return n.attestation.Do(r)
	}
	answer := httptest.NewRecorder()
	n.metadata.ServeHTTP(answer, r)
	return answer.Result(), nil
}

// guest is a machine on a host of Azure.
type guest struct {
	*machine
	network network
}

// newGuest boots a guest on the simulated host that development mode trusts, as the log says.
func newGuest(t *testing.T, s *service, log []byte) *guest {
	t.Helper()
	h := assaytest.WellKnownAzureHost(assaytest.AzureSevSnp, time.Now())
	m := newMachine(t, log)
	report, err := h.HCLReport(m.ak, nil, [64]byte{})
	must(t, err)
	certificate, err := h.AKCertificate(m.ak)
	must(t, err)
	m.store(t, report, certificate)
	return &guest{m, network{assaytest.NewIMDS(h), s.client}}
}

// parameters collects what the client sends, from where its own collector has it, but for the log: that one wants a file of the kernel.
func (g *guest) parameters(t *testing.T, nonce []byte) maa.Parameters {
	t.Helper()
	const header, report, dataHeader = 32, 1184, 20 // sev-snp.md section 4
	hcl, err := tpm2.NVReadEx(g.tpm, indexHCLReport, tpm2.HandleOwner, "", 0)
	must(t, err)
	runtime, _, _ := bytes.Cut(hcl[header+report+dataHeader:], []byte{0})
	p := maa.Parameters{SNPReport: hcl[header : header+report], RuntimeData: runtime, Attestation: g.quote(t, nonce)}
	p.EncKey, p.EncKeyCertInfo, p.EncKeyCertInfoSig = g.sealingKey(t)
	p.VcekCert, p.VcekChain = g.certificates(t)
	return p
}

// certificates asks the metadata service for those of the chip.
func (g *guest) certificates(t *testing.T) (leaf, chain []byte) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+metadataHost+"/metadata/THIM/amd/certification", http.NoBody)
	must(t, err)
	request.Header.Set("Metadata", "True")
	answer, err := g.network.Do(request)
	must(t, err)
	defer answer.Body.Close()
	var certificates struct{ VcekCert, CertificateChain string }
	must(t, json.NewDecoder(answer.Body).Decode(&certificates))
	return []byte(certificates.VcekCert), []byte(certificates.CertificateChain)
}
