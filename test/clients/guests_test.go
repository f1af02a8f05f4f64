package clients

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/internal/vectortest"
	"github.com/assay-attestation/assay/test/clients/internal/plan"
)

// guestClients attest confidential VMs: kermit as it is, compiled once, and the requests of two programs that run inside such machines, in
// Python.
func guestClients(t *testing.T) []client {
	t.Helper()
	kermit := goBuild(t, ".", "./kermit/guest")
	run := func(_ *testing.T, _ string, s *stage) *exec.Cmd {
		cmd := exec.Command(kermit, s.plan)
		cmd.Env = append(os.Environ(), "SSL_CERT_FILE="+s.ca)
		return cmd
	}
	return []client{
		{name: "kermit", command: run},
		{name: "python", needs: []string{"python3"}, command: pythonCommand, attest: "python/guest.py"},
	}
}

// utilityVMs is the configuration under which the recorded endorsement of a utility VM counts (sev-snp.md section 6).
const utilityVMs = `settings:
  snp_uvm_issuers:
  - did: "did:x509:0:sha256:I__iuL25oXEVFdTP_aBLx_eT1RPHbCQ_ECBQfYZpt9s::eku:1.3.6.1.4.1.311.76.59.1.2"
    feed: ContainerPlat-AMD-UVM
    compliance_status: azure-compliant-uvm
`

// TestGuests has clients attest SEV-SNP guests and TDs: simulated ones, and the recorded reports at the time of their recording, under the
// roots of AMD that the service has of itself.
func TestGuests(t *testing.T) {
	assay := goBuild(t, filepath.Join("..", ".."), "./cmd/assay")
	clients := guestClients(t)
	t.Run("simulated", func(t *testing.T) {
		runGuests(t, clients, startService(t, assay), simulatedGuests(t, assay))
	})
	config := filepath.Join(t.TempDir(), "config.yaml")
	must(t, os.WriteFile(config, []byte(utilityVMs), 0o600))
	for at, guests := range recordedGuests(t) {
		t.Run("recorded "+at, func(t *testing.T) {
			runGuests(t, clients, startService(t, assay, "--config", config, "--at", at), guests)
		})
	}
}

func runGuests(t *testing.T, clients []client, s service, guests []plan.Guest) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "plan.json")
	must(t, (&plan.Guests{Issuer: s.URL, Cases: guests}).Write(file))
	for _, c := range clients {
		t.Run(c.name, func(t *testing.T) { c.run(t, c.attest, &stage{plan: file, ca: s.CA}) })
	}
}

// guestRuntime has the members that the tools look for (clients.md section 10.3).
const guestRuntime = `{"keys":[{"kid":"HCLAkPub","kty":"RSA","e":"AQAB","n":"AQAB"}],"vm-configuration":{"tpm-persisted":true},"user-data":"00"}`

// simulatedGuests are what `assay sim` makes: signed by the key of a chip, by that of a cloud provider, and a TD.
func simulatedGuests(t *testing.T, assay string) []plan.Guest {
	t.Helper()
	runtime := filepath.Join(t.TempDir(), "runtime.json")
	must(t, os.WriteFile(runtime, []byte(guestRuntime), 0o600))
	made := func(kind, report string, flags ...string) plan.Guest {
		dir := t.TempDir()
		run(t, exec.Command(assay, append([]string{"sim", kind, "--runtime-data", runtime, "--out", dir}, flags...)...))
		return plan.Guest{
			Name: strings.Join(append([]string{kind}, flags...), " "), Evidence: filepath.Join(dir, report), RuntimeData: runtime,
			Request: filepath.Join(dir, "request.json"),
		}
	}
	guests := []plan.Guest{made("snp", "report.bin"), made("snp", "report.bin", "--product", "Genoa", "--vlek"), made("tdx", "quote.bin")}
	for i := range guests {
		g := &guests[i]
		if strings.HasPrefix(g.Name, "tdx") {
			g.Type, g.Claims = "TdxVm", domainClaims(t, g.Evidence)
		} else {
			g.Type, g.Claims = "SevSnpVm", reportClaims(t, g.Evidence)
			g.Chain = filepath.Join(filepath.Dir(g.Evidence), "chain.pem")
		}
		must(t, json.Unmarshal([]byte(`{"x-ms-runtime":`+guestRuntime+`}`), &g.Claims))
	}
	return guests
}

// recordedGuests walks the index of recorded evidence for reports of SEV-SNP and for requests, by the time at which they are judged.
func recordedGuests(t *testing.T) map[string][]plan.Guest {
	t.Helper()
	var index map[string]struct {
		Verify *struct{ Type, Collateral, At, Verdict string }
		Replay *struct {
			Path, Answer, At string
			Ignore           []string
		}
	}
	vectortest.ReadJSON(t, "maa/index.json", &index)
	found := map[string][]plan.Guest{}
	for name, entry := range index {
		if r := entry.Replay; r != nil && strings.HasPrefix(strings.ToLower(r.Path), "/attest/sevsnpvm") && strings.HasSuffix(name, ".json") {
			g := plan.Guest{Name: name, Type: "SevSnpVm", Request: vectortest.Path(t, "maa/"+name)}
			g.Claims = realClaims(t, r.Answer, r.Ignore)
			found[r.At] = append(found[r.At], g)
		}
		if v := entry.Verify; v != nil && v.Type == "sevsnp" && v.Verdict == "accept" {
			base := strings.TrimSuffix(name, ".report.bin")
			g := plan.Guest{Name: name, Type: "SevSnpVm", Evidence: vectortest.Path(t, "maa/"+name), Chain: vectortest.Path(t, v.Collateral)}
			g.Claims = reportClaims(t, g.Evidence)
			if _, ok := index[base+".uvm-endorsement.cose"]; ok {
				g.Endorsement = vectortest.Path(t, "maa/"+base+".uvm-endorsement.cose")
				g.Claims["x-ms-compliance-status"] = "azure-compliant-uvm"
			}
			found[v.At] = append(found[v.At], g)
		}
	}
	if len(found) == 0 {
		vectortest.NoCase(t, "SEV-SNP evidence in maa/index.json")
	}
	return found
}

// realClaims are the claims of a real token, without those that differ from service to service.
func realClaims(t *testing.T, file string, ignore []string) (claims map[string]any) {
	t.Helper()
	parts := strings.Split(string(vectortest.Read(t, file)), ".")
	if len(parts) != 3 {
		t.Fatalf("%s: not a token", file)
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	must(t, err)
	must(t, json.Unmarshal(payload, &claims))
	for _, pointer := range ignore {
		delete(claims, strings.TrimPrefix(pointer, "/payload/"))
	}
	return claims
}

// reportClaims reads from a report of Milan or Genoa what a token says of it (sev-snp.md sections 1 and 4).
func reportClaims(t *testing.T, file string) map[string]any {
	t.Helper()
	b, err := os.ReadFile(file)
	must(t, err)
	if len(b) != 1184 {
		t.Fatalf("%s: %d bytes, want 1184", file, len(b))
	}
	tcb := b[0x180:0x188]
	return map[string]any{
		"x-ms-attestation-type": "sevsnpvm", "x-ms-sevsnpvm-vmpl": b[0x30],
		"x-ms-sevsnpvm-reportdata": hex.EncodeToString(b[0x50:0x90]), "x-ms-sevsnpvm-launchmeasurement": hex.EncodeToString(b[0x90:0xC0]),
		"x-ms-sevsnpvm-hostdata": hex.EncodeToString(b[0xC0:0xE0]), "x-ms-sevsnpvm-guestsvn": b[0x04],
		"x-ms-sevsnpvm-bootloader-svn": tcb[0], "x-ms-sevsnpvm-tee-svn": tcb[1], "x-ms-sevsnpvm-snpfw-svn": tcb[6], "x-ms-sevsnpvm-microcode-svn": tcb[7],
	}
}

// domainClaims reads from a quote of version 4 what a token says of the TD (sgx-tdx.md section 2.4).
func domainClaims(t *testing.T, file string) map[string]any {
	t.Helper()
	b, err := os.ReadFile(file)
	must(t, err)
	const header = 48
	if len(b) < header+584 || b[0] != 4 {
		t.Fatalf("%s: no quote of version 4 with a TD report", file)
	}
	td := b[header:]
	text := func(from, size int) string { return hex.EncodeToString(td[from : from+size]) }
	claims := map[string]any{
		"x-ms-attestation-type": "tdxvm", "attester_tcb_status": "UpToDate", "tdx_tee_tcb_svn": text(0, 16), "tdx_mrseam": text(16, 48),
		"tdx_mrtd": text(136, 48), "tdx_report_data": text(520, 64),
	}
	for i := range 4 {
		claims[fmt.Sprintf("tdx_rtmr%d", i)] = text(328+48*i, 48)
	}
	return claims
}
