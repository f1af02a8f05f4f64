package snp_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/assay-attestation/assay/evidence"
	"github.com/assay-attestation/assay/evidence/snp"
	"github.com/assay-attestation/assay/internal/vectortest"
)

func TestRequestsInEveryDialect(t *testing.T) {
	l := newLab(t, "Milan")
	report, chain := l.raw(), toPEM(l.vcek(), l.ask.cert, l.ark.cert)
	for name, enc := range map[string]*base64.Encoding{
		"base64url": base64.RawURLEncoding, "padded base64url": base64.URLEncoding, "base64": base64.StdEncoding, "base64 without padding": base64.RawStdEncoding,
	} {
		for _, form := range []string{
			`{"SnpReport":%q,"VcekCertChain":%q,"Endorsements":%q}`,
			`{"endorsements":%[3]q,"VCEKCERTCHAIN":%[2]q,"snpReport":%[1]q,"Else":{"a":[1]}}`,
		} {
			uvm := fmt.Sprintf(`{"uvm":[%q,%q]}`, enc.EncodeToString([]byte("one")), enc.EncodeToString([]byte("two!")))
			e, err := snp.Parse(fmt.Appendf(nil, form, enc.EncodeToString(report), enc.EncodeToString(chain), enc.EncodeToString([]byte(uvm))))
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			if e.Chain == nil || len(e.Chain.Others) != 2 || len(e.UVM) != 2 || string(e.UVM[1]) != "two!" || e.Report.Policy != 0x3001F {
				t.Errorf("%s: %+v", name, e)
			}
		}
	}
}

// TestRecordedRequest reads the member report that Azure's sample sends.
func TestRecordedRequest(t *testing.T) {
	e, err := snp.Parse(decode(t, string(bytes.TrimSpace(read(t, "maa-sample/request-report.b64u")))))
	if err != nil {
		t.Fatal(err)
	}
	want, err := snp.ParseChain(read(t, "maa-sample/chain.pem"))
	if err != nil {
		t.Fatal(err)
	}
	if !e.Chain.Leaf.Equal(want.Leaf) || len(e.Chain.Others) != 2 || e.UVM != nil {
		t.Errorf("got %q, %d others, %d endorsements", e.Chain.Leaf.Subject, len(e.Chain.Others), len(e.UVM))
	}
}

// TestRequestOfAContainerGroup puts together what Azure Container Instances give a container, as its client does: the certificates that the host
// hands out, and the endorsement of the utility VM.
func TestRequestOfAContainerGroup(t *testing.T) {
	var host struct{ VcekCert, CertificateChain string }
	vectortest.ReadJSON(t, "snp/aci-sidecar/uvm_host_amd_certificate.json", &host)
	enc := base64.URLEncoding
	cose := read(t, "aci-sidecar/body.uvm_reference_info.bin")
	uvm, err := json.Marshal(map[string][]string{"Uvm": {enc.EncodeToString(cose)}})
	if err != nil {
		t.Fatal(err)
	}
	body, err := json.Marshal(map[string]string{"SnpReport": enc.EncodeToString(read(t, "aci-sidecar/report.bin")),
		"VcekCertChain": enc.EncodeToString([]byte(host.VcekCert + host.CertificateChain)), "Endorsements": enc.EncodeToString(uvm)})
	if err != nil {
		t.Fatal(err)
	}
	e, err := snp.Parse(body)
	if err != nil {
		t.Fatal(err)
	}
	all := vectors(t)
	i := slices.IndexFunc(all, func(c vector) bool { return c.ID == "aci-sidecar" })
	if i < 0 {
		vectortest.NoCase(t, "case aci-sidecar")
	}
	opt := snp.Options{At: all[i].At}
	signer, err := snp.AMDRoots().Trace(e.Chain, opt)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := snp.Verify(e.Report, signer, opt); err != nil || len(e.UVM) != 1 || !bytes.Equal(e.UVM[0], cose) {
		t.Errorf("%d endorsements, %v", len(e.UVM), err)
	}
}

func TestRequestsThatAreNone(t *testing.T) {
	l := newLab(t, "Milan")
	enc := base64.RawURLEncoding.EncodeToString
	report := `"SnpReport":"` + enc(l.raw()) + `"`
	chain := `"VcekCertChain":"` + enc(toPEM(l.vcek())) + `"`
	endorsed := func(text string) string { return `{` + report + `,"Endorsements":"` + enc([]byte(text)) + `"}` }
	uvm := func(n int) string { return `{"Uvm":[` + strings.TrimSuffix(strings.Repeat(`"AAAA",`, n), ",") + `]}` }
	for name, c := range map[string]struct {
		body  string
		check evidence.Check
		part  string // empty: accepted
	}{
		"nothing":                        {``, evidence.SNPFormat, "document is empty"},
		"a bare report":                  {string(l.raw()), evidence.SNPFormat, `{"SnpReport": …`},
		"an array":                       {`[]`, evidence.SNPFormat, "expected an object"},
		"no report":                      {`{` + chain + `}`, evidence.SNPFormat, "expected 1184 bytes, found 0"},
		"a short report":                 {`{"SnpReport":"AAAA"}`, evidence.SNPFormat, "expected 1184 bytes, found 3"},
		"a report that is a number":      {`{"SnpReport":1}`, evidence.SNPFormat, "expected a string"},
		"a report in hex":                {`{"SnpReport":"0x00"}`, evidence.SNPFormat, "expected 1184 bytes"},
		"mixed alphabets":                {`{"SnpReport":"-+=="}`, evidence.SNPFormat, "member SnpReport"},
		"two reports":                    {`{` + report + `,` + report + `}`, evidence.SNPFormat, "duplicate"},
		"two reports in two cases":       {`{` + report + `,` + strings.ToLower(report[:11]) + report[11:] + `}`, evidence.SNPFormat, "duplicate"},
		"something behind":               {`{` + report + `}x`, evidence.SNPFormat, "invalid character 'x'"},
		"a chain in no base64":           {`{` + report + `,"VcekCertChain":"-----BEGIN CERTIFICATE-----"}`, evidence.SNPFormat, "member VcekCertChain"},
		"a chain of no certificates":     {`{` + report + `,"VcekCertChain":"AAAA"}`, evidence.SNPChain, "are missing"},
		"endorsements in no base64":      {`{` + report + `,"Endorsements":"{}"}`, evidence.SNPFormat, "member Endorsements"},
		"endorsements in no JSON":        {endorsed(`x`), evidence.SNPFormat, "member Endorsements"},
		"an endorsement that is no text": {endorsed(`{"Uvm":[1]}`), evidence.SNPFormat, "expected a string"},
		"an endorsement in no base64":    {endorsed(`{"Uvm":["!"]}`), evidence.SNPFormat, "member Endorsements.Uvm"},
		"nine endorsements":              {endorsed(uvm(snp.MaxUVM + 1)), evidence.SNPFormat, "at most 8"},
		"eight endorsements":             {endorsed(uvm(snp.MaxUVM)), "", ""},
		"no endorsements":                {endorsed(`{}`), "", ""},
		"empty members":                  {`{` + report + `,"VcekCertChain":"","Endorsements":""}`, "", ""},
		"null members":                   {`{` + report + `,"VcekCertChain":null,"Endorsements":null}`, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			e, err := snp.Parse([]byte(c.body))
			if c.part != "" {
				refusedSaying(t, err, c.check, c.part)
			} else if err != nil || e.Chain != nil {
				t.Errorf("got %+v, %v", e, err)
			}
		})
	}
}

func TestRequestsAreBounded(t *testing.T) {
	body := []byte(`{"SnpReport":"` + base64.RawURLEncoding.EncodeToString(newLab(t, "Milan").raw()) + `"}`)
	longest := append(body, bytes.Repeat([]byte(" "), snp.MaxRequest-len(body))...)
	if _, err := snp.Parse(longest); err != nil {
		t.Error(err)
	}
	_, err := snp.Parse(append(longest, ' '))
	refusedSaying(t, err, evidence.SNPFormat, "at most 1048576")
}

// TestMissingChainIsToldByTheTrace: a request may come without certificates; the service may have them.
func TestMissingChainIsToldByTheTrace(t *testing.T) {
	l := newLab(t, "Milan")
	e, err := snp.Parse([]byte(`{"SnpReport":"` + base64.RawURLEncoding.EncodeToString(l.raw()) + `"}`))
	if err != nil {
		t.Fatal(err)
	}
	if _, err = l.roots().Trace(e.Chain, snp.Options{At: l.at()}); !errors.Is(err, snp.ErrMissing) {
		t.Errorf("got %v", err)
	}
}
